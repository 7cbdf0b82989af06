"""Guard that private parts of pynetdicom are used with tested versions only.

With another version the node receives and sends through pynetdicom's public interface: slower,
and otherwise the same. `dicom-node check` and the log of the start say so.
"""

from __future__ import annotations

import pynetdicom

TESTED = ("3.0.4",)
INSTALLED: str = pynetdicom.__version__


def is_tested(version: str = INSTALLED) -> bool:
    """Say whether the private parts of this version of pynetdicom were tested."""
    return version in TESTED
