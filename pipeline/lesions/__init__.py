"""Localise, separate and measure lesions."""
