"""Attributes and geometry taken over from the source series."""
