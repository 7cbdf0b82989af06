"""Read back what a result will be once it is written."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from pipeline.errors import ConformanceError
from pipeline.series.attributes import UNREADABLE

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
    light = Dataset()
    light.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=result.original_character_set,
    )
    bulk = [Tag(keyword) for keyword in BULK if keyword in result]
    for tag in result.keys():  # noqa: SIM118  # iterating the data set itself decodes it
        if tag not in bulk:
            light[tag] = result.get_item(tag)
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
