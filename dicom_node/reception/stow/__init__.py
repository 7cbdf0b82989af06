"""Receive instances by STOW-RS."""
