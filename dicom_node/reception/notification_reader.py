"""Read of a performed step, or of an availability notification, the instances that it names.

A notification may name tens of thousands of instances: pydicom would take eighty times its bytes.
All else in it is passed over.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass, field

from pydicom.datadict import keyword_dict

from dicom_node.reception.header_scan import (
    DELIMITERS,
    END_OF_ITEM,
    END_OF_SEQUENCE,
    IMPLICIT,
    ITEM,
    LONG,
    LONG_VRS,
    MAXIMUM_DEPTH,
    UNDEFINED,
    VRS,
)

MAXIMUM_ITEMS = 40_000  #: of all sequences of one notification; a large study has ten thousand
ONE_AT_A_TIME = threading.Lock()  #: all peers together have one notification read
STATUS = keyword_dict["PerformedProcedureStepStatus"]
SERIES_UID = keyword_dict["SeriesInstanceUID"]
INSTANCE_UID = keyword_dict["ReferencedSOPInstanceUID"]
AVAILABILITY = keyword_dict["InstanceAvailability"]
OF_STEP = (keyword_dict["PerformedSeriesSequence"], keyword_dict["ReferencedImageSequence"])
OF_AVAILABILITY = (keyword_dict["ReferencedSeriesSequence"], keyword_dict["ReferencedSOPSequence"])
"""Sequence of series, and within it that of instances: PS3.3 C.4.14, PS3.4 Table R.3.2-1."""

Path = tuple[int, ...] | None  #: tags of the sequences around an element; None beside the named


class TooManyItems(ValueError):
    """A notification has more items than are read."""


@dataclass(slots=True)
class NamedReference:
    """An instance that is named; its availability is empty where none is given."""

    sop_instance_uid: str = ""
    availability: str = ""


@dataclass(slots=True)
class ReferencedSeries:
    """A series of which instances are named."""

    series_instance_uid: str = ""
    references: list[NamedReference] = field(default_factory=list)


@dataclass(slots=True)
class NotificationContent:
    """What a notification says.

    Attributes
    ----------
    status
        Performed Procedure Step Status; empty if it has none.
    series
        None if it has no sequence of series.
    """

    status: str = ""
    series: list[ReferencedSeries] | None = None


def read_notification(
    data: bytes, sequences: tuple[int, int], *, is_implicit: bool
) -> NotificationContent:
    """Read a data set in little endian (PS3.5 7.1 and 7.5).

    Parameters
    ----------
    sequences
        `OF_STEP` or `OF_AVAILABILITY`.

    Raises
    ------
    TooManyItems
        If it has more than `MAXIMUM_ITEMS`.
    ValueError
        If it is no data set.
    """
    reader = _Reader(data, sequences)
    try:
        with ONE_AT_A_TIME:
            end = reader.read_elements(0, len(data), (), not is_implicit, 0)
    except struct.error as fault:
        raise ValueError("the data set is cut short") from fault
    if end != len(data):
        raise ValueError("the data set has an end of an item where none began")
    return reader.content


class _Reader:
    """Goes once through a data set, and through the sequences whose content is wanted."""

    def __init__(self, data: bytes, sequences: tuple[int, int]) -> None:
        self._data, self._wanted = data, {(): sequences[0], sequences[:1]: sequences[1]}
        self._items = 0
        self.content = NotificationContent()

    def read_elements(self, position: int, end: int, path: Path, explicit: bool, depth: int) -> int:
        """Read elements up to an end, or up to the end of their item; say where that is."""
        wanted = None if path is None else self._wanted.get(path)
        while position < end:
            tag, vr, length, position = self._header(position, explicit)
            if tag == END_OF_ITEM:
                return position
            if tag in DELIMITERS:
                raise ValueError("an item outside of a sequence")
            inner = (*path, tag) if path is not None and tag == wanted else None
            if length == UNDEFINED or inner is not None:
                if inner is not None and len(inner) == 1:
                    self.content.series = self.content.series or []
                is_explicit = explicit and vr != b"UN"  # PS3.5 6.2.2
                until = end if length == UNDEFINED else self._end(position, length, end)
                position = self._read_items(position, until, inner, is_explicit, depth + 1)
                continue
            until = self._end(position, length, end)
            if path is not None:
                self._take(path, tag, position, until)
            position = until
        return position

    def _read_items(self, position: int, end: int, path: Path, explicit: bool, depth: int) -> int:
        """Read the items of a sequence, up to its end."""
        if depth > MAXIMUM_DEPTH:
            raise ValueError("sequences in too many sequences")
        while position < end:
            tag, _, length, position = self._header(position, explicit)
            if tag == END_OF_SEQUENCE:
                return position
            if tag != ITEM:
                raise ValueError("an element between the items of a sequence")
            self._items += 1
            if self._items > MAXIMUM_ITEMS:
                raise TooManyItems(f"at most {MAXIMUM_ITEMS} items expected")
            self._begin(path)
            until = end if length == UNDEFINED else self._end(position, length, end)
            position = self.read_elements(position, until, path, explicit, depth)
            if length != UNDEFINED and position != until:
                raise ValueError("an item ends before its length")
        return position

    def _header(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Read tag, VR (empty where there is none), and length; and where the value begins."""
        group, element, length = IMPLICIT.unpack_from(self._data, position)
        tag, vr = group << 16 | element, self._data[position + 4 : position + 6]
        position += IMPLICIT.size
        if tag in DELIMITERS or not explicit:
            return tag, b"", length, position
        if vr in LONG_VRS:
            return tag, vr, LONG.unpack_from(self._data, position)[0], position + LONG.size
        if vr not in VRS:
            raise ValueError("an element of no known VR")
        return tag, vr, length >> 16, position

    def _end(self, position: int, length: int, end: int) -> int:
        if position + length > end:
            raise ValueError("an element is longer than what holds it")
        return position + length

    def _begin(self, path: Path) -> None:
        """Begin an item of a sequence."""
        if not path:
            return
        series = self.content.series = self.content.series or []
        if len(path) == 1:
            series.append(ReferencedSeries())
        else:
            series[-1].references.append(NamedReference())

    def _take(self, path: tuple[int, ...], tag: int, start: int, end: int) -> None:
        """Take a value that is wanted."""
        if not path:
            if tag == STATUS:
                self.content.status = self._text(start, end)
            return
        series = (self.content.series or [])[-1]
        if len(path) == 1:
            if tag == SERIES_UID:
                series.series_instance_uid = self._text(start, end)
        elif tag == INSTANCE_UID:
            series.references[-1].sop_instance_uid = self._text(start, end)
        elif tag == AVAILABILITY:
            series.references[-1].availability = self._text(start, end)

    def _text(self, start: int, end: int) -> str:
        return self._data[start:end].decode("latin-1").strip(" \0")
