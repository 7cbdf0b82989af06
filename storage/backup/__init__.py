"""Backups of an installation: copies of its database, files and settings, with digests."""
