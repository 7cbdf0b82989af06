"""Structured Reports, Key Object Selection and notices."""
