"""Compose network, scheduler, worker processes and settings into a running node."""
