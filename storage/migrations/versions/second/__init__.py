"""Migrations 0016 to 0030, in the order of their numbers; the first fifteen are a folder above."""
