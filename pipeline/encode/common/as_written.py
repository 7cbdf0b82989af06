"""Read back what a result will be once it is written, and share what many results have alike."""

from __future__ import annotations

from io import BytesIO

from pydicom import DataElement, Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from pipeline.errors import ConformanceError
from pipeline.series.attributes import UNREADABLE

Element = RawDataElement | DataElement
FRAMES = Tag("PerFrameFunctionalGroupsSequence")

BULK = ("PixelData", "FloatPixelData", "EncapsulatedDocument")
"""Elements that are not written for the check: they are long, and hold no values."""


def as_written(result: Dataset) -> Dataset:
    """Return a result as others will read it: written and read back, but for its pixels.

    So the check sees the bytes that leave, and decodes nothing in the result itself.

    Raises
    ------
    ConformanceError
        If it cannot be written.
    """
    bulk = [Tag(keyword) for keyword in BULK if keyword in result]
    light = shallow_copy(result)
    for tag in bulk:
        del light[tag]
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    try:
        write_dataset(buffer, light)
    except UNREADABLE as fault:
        raise ConformanceError(f"it cannot be written ({type(fault).__name__})") from None
    written = read_dataset(BytesIO(buffer.getvalue()), False, True)
    for tag in bulk:
        written[tag] = result.get_item(tag)
    return written


def shallow_copy(result: Dataset) -> Dataset:
    """Copy a result, but not its elements, which stay as they are: read bytes or values."""
    copy = Dataset(_elements(result))
    copy.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=result.original_character_set,
    )
    return copy


def frozen(result: Dataset) -> Dataset:
    """Return a result whose elements are the bytes that will be written.

    Copies of it (`shallow_copy`) are written, and read back, without being encoded once more.
    """
    written = as_written(result)
    written.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=result.original_character_set or default_encoding,
    )
    return written


def news(written: Dataset, like: Dataset) -> Dataset:
    """Elements of a result that are not in another, byte by byte; all if one has not all of them.

    They stay in the character set of the result, also where that is the same in both.

    Parameters
    ----------
    written, like
        Both from `as_written`.
    """
    if written.keys() != like.keys():
        return written
    differing: dict[BaseTag, Element] = {
        tag: element
        for tag, element in _elements(written).items()
        if not _same(element, like.get_item(tag))
    }
    return Dataset(differing, parent_encoding=written.original_character_set)


def distinct(written: Dataset) -> Dataset:
    """Leave out what the functional groups of a frame have like those of an earlier frame.

    What is judged element by element need not be judged for each frame again.

    Parameters
    ----------
    written
        From `as_written`.
    """
    if FRAMES not in written:
        return written
    seen: set[tuple[int, str | None, bytes]] = set()
    items = []
    for item in written[FRAMES].value:
        fresh = Dataset(parent_encoding=written.original_character_set)
        for tag in item.keys():  # noqa: SIM118  # iterating the data set itself decodes it
            element = item.get_item(tag)
            if isinstance(element, RawDataElement):
                key = (int(tag), element.VR, element.value or b"")
                if key in seen:
                    continue
                seen.add(key)
            fresh[tag] = element
        items.append(fresh)
    copy = Dataset(_elements(written), parent_encoding=written.original_character_set)
    copy[FRAMES] = DataElement(FRAMES, "SQ", Sequence(items))
    return copy


def _elements(dataset: Dataset) -> dict[BaseTag, Element]:
    """Elements as they are, read bytes or values: iterating the data set itself decodes them."""
    return {tag: dataset.get_item(tag) for tag in dataset.keys()}  # noqa: SIM118  # see above


def _same(element: Element, other: Element) -> bool:
    return (
        isinstance(element, RawDataElement)
        and isinstance(other, RawDataElement)
        and (element.VR, element.value) == (other.VR, other.value)
    )
