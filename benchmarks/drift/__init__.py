"""Simulate scanners, to see how soon a change is told, and how often there was none."""
