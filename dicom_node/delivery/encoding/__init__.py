"""Encode objects again in a transfer syntax that a destination takes."""
