"""A running node: its two sides, and their start and stop."""
