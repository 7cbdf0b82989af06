"""Identifiers and items of the Storage Commitment Push Model, for SCU and SCP (PS3.4 Annex J)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from pydicom import Dataset
from pynetdicom.events import Event

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"  #: of the Push Model SOP Class, PS3.4 J.3.5
REQUEST = 1  #: Action Type ID, PS3.4 Table J.3-1
COMPLETE, FAILURES_EXIST = 1, 2  #: Event Type IDs, PS3.4 Table J.3-3
MAXIMUM_ITEMS = 10_000  #: references of a request or a report; a study has a few thousand
ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  #: PS3.5 7.5, in either byte order
ONE_AT_A_TIME = threading.Lock()  #: all peers together have one data set read


@contextmanager
def readable(event: Event) -> Iterator[None]:
    """Hold the turn to read the data set of an N- request; pydicom takes eighty times its bytes.

    Raises
    ------
    ValueError
        If it has very many items.
    """
    names = ("ActionInformation", "EventInformation")
    encoded: list[BytesIO | None] = [getattr(event.request, name, None) for name in names]
    data = b"".join(one.getvalue() for one in encoded if one is not None)
    items = max(data.count(tag) for tag in ITEM_TAGS)
    if items > MAXIMUM_ITEMS:
        raise ValueError(f"at most {MAXIMUM_ITEMS} items expected, got {items}")
    with ONE_AT_A_TIME:
        yield


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Make an item that references one object (PS3.4 Table J.3-1)."""
    ds = Dataset()
    ds.ReferencedSOPClassUID = sop_class_uid
    ds.ReferencedSOPInstanceUID = sop_instance_uid
    return ds
