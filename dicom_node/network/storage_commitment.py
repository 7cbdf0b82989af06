"""Identifiers and items of the Storage Commitment Push Model, for SCU and SCP (PS3.4 Annex J)."""

from __future__ import annotations

from pydicom import Dataset

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"  #: of the Push Model SOP Class, PS3.4 J.3.5
REQUEST = 1  #: Action Type ID, PS3.4 Table J.3-1
COMPLETE, FAILURES_EXIST = 1, 2  #: Event Type IDs, PS3.4 Table J.3-3


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Make an item that references one object (PS3.4 Table J.3-1)."""
    ds = Dataset()
    ds.ReferencedSOPClassUID = sop_class_uid
    ds.ReferencedSOPInstanceUID = sop_instance_uid
    return ds
