"""Have workers begin with series that are still being received."""
