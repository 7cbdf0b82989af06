"""Metrics of scores with their confidence intervals."""
