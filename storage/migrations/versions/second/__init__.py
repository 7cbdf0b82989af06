"""Migrations from 0016 on, in the order of their numbers; the first fifteen are a folder above."""
