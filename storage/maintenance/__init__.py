"""Retention, purging, recovery and reconciliation."""
