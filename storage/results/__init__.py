"""Rows of results and of earlier studies."""
