"""Errors that storage raises. Those of the database are one sentence: what is wrong, what to do.

StorageError
├── StaleState            another process moved the row first: drop the intended change
├── StorageFull           not enough free space to keep the file safely
├── StorageUnwritable     the storage folder is away, or read only: the same may succeed later
│   └── ObjectsAway       the bucket of the objects cannot be reached, or refuses
├── ObjectDamaged         an object of the bucket is not what was put
├── DamagedIdentityKey    its file can be read, and holds something else
├── DatabaseUnavailable   the database is locked, full, damaged or away: the same may succeed later
│   ├── DatabaseDamaged   by itself it will not succeed: an operator restores a copy
│   └── LeaseLost         for good: another node has taken the database over
├── DatabaseRefused       the database rejects what is to be written: the same fails again
└── DatabaseUnusable      it is not the database of this program: only an operator can help
"""


class StorageError(Exception):
    """Base of the errors that storage raises on purpose."""


class StaleState(StorageError):
    """Another process moved the row first."""


class StorageFull(StorageError):
    """There is not enough free space to keep the file safely."""


class StorageUnwritable(StorageError):
    """The storage folder cannot be written: the same may succeed later."""


class ObjectsAway(StorageUnwritable):
    """The bucket of the objects cannot be reached, or refuses: the same may succeed later."""


class ObjectDamaged(StorageError):
    """The bytes of an object of the bucket are not those that were put."""


class DamagedIdentityKey(StorageError):
    """The file of the identity key can be read, and holds something else."""


class DatabaseUnavailable(StorageError):
    """The database is locked, full, damaged or away: the same may succeed later."""


class DatabaseDamaged(DatabaseUnavailable):
    """The database is damaged: what waits goes on once an operator has restored a copy."""


class LeaseLost(DatabaseUnavailable):
    """Another node works on the database now: this one must stop, and write nothing more."""


class DatabaseRefused(StorageError):
    """The database rejects what is to be written: the same fails again."""


class DatabaseUnusable(StorageError):
    """No driver, no tables, or those of another version: only an operator can help."""
