"""Queries and rows of the console."""
