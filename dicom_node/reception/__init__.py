"""Receive instances by C-STORE and STOW-RS, store them durably, close series."""
