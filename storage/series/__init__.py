"""Rows of series and instances, and the states of a series."""
