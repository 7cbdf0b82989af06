"""Drift of what scanners send and of what is found in it, against a reference of each scanner."""
