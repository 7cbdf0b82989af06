"""Retention, purging, recovery, and comparison of files with rows."""
