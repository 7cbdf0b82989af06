"""Metrics of the running node for Prometheus, and whether it lives and is ready."""
