"""Errors that storage raises.

StorageError
├── StaleState            another process moved the row first: drop the intended change
├── StorageFull           not enough free space to keep the file safely
├── DatabaseUnavailable   the database is locked, full or away: another try may help
└── DatabaseRefused       the database rejects the statement
"""


class StorageError(Exception):
    """Base of the errors that storage raises on purpose."""


class StaleState(StorageError):
    """Another process moved the row first."""


class StorageFull(StorageError):
    """There is not enough free space to keep the file safely."""


class DatabaseUnavailable(StorageError):
    """The database is locked, full or away; another try may help."""


class DatabaseRefused(StorageError):
    """The database rejects the statement."""
