"""Transform arrays and datasets into arrays and datasets, purely: no database, no network."""
