"""Receive instances by C-STORE, keep them, close series."""
