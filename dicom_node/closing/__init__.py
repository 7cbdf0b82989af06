"""Tell when a series is complete, and close it: from then on it waits to be analysed."""
