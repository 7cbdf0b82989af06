"""Receivers that share a database and a storage folder, and the one of them that is active."""
