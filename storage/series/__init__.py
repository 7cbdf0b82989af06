"""Rows of series and instances, and the life of a series."""
