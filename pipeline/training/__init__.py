"""Synthetic data and training."""
