"""Composes network, clock, processes and settings into a running node."""
