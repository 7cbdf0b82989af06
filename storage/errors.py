"""Why storage refused.

StorageError
├── StaleState            someone else moved the row first: drop what you were about to do
├── StorageFull           not enough free space to promise safe keeping
├── DatabaseUnavailable   the database is locked, full or away: another try may help
└── DatabaseRefused       the database does not take what was to be written
"""


class StorageError(Exception):
    """Base of everything storage raises on purpose."""


class StaleState(StorageError):
    """Someone else moved the row first."""


class StorageFull(StorageError):
    """There is not enough free space to promise safe keeping."""


class DatabaseUnavailable(StorageError):
    """The database is locked, full or away; another try may help."""


class DatabaseRefused(StorageError):
    """The database does not take what was to be written."""
