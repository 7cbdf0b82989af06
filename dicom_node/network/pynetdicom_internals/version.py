"""Version guard: private parts of pynetdicom are used with tested versions only.

With another version the node takes pynetdicom's own way everywhere: slower, and otherwise the
same. `dicom-node check` and the log of the start say so.
"""

from __future__ import annotations

import pynetdicom

TESTED = ("3.0.4",)


def is_tested() -> bool:
    """Whether the installed pynetdicom is one whose private parts were tested."""
    return pynetdicom.__version__ in TESTED
