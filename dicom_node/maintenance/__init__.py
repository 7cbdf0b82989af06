"""Retention, consistency check, export and erasure of stored data."""
