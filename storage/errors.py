"""Why storage refused.

StorageError
├── StaleState         someone else moved the row first: drop what you were about to do
└── InboxFull          not enough free space to promise safe keeping
"""


class StorageError(Exception):
    """Base of everything storage raises on purpose."""


class StaleState(StorageError):
    """Someone else moved the row first."""


class StorageFull(StorageError):
    """There is not enough free space to promise safe keeping."""
