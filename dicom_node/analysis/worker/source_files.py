"""Read the instances of a series, unless they would fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicom_node.analysis.worker.messages import EndsRequest, ImagesRequest
from dicom_node.network.bounded_header import data_set_bytes
from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import UNREADABLE, text

OF_THE_REQUEST = {
    "SOPClassUID": "MediaStorageSOPClassUID",
    "SOPInstanceUID": "MediaStorageSOPInstanceUID",
}
"""UIDs that some senders leave out of the data set, and where they are kept besides."""


INFLATED_BYTES = 64 << 20  #: accepted without a ratio check; a slice of 4096² has 32 MiB


MAX_INFLATION = 20  #: ratio beyond that; CT inflates to two or three times its length


LONG_BYTES = 1 << 14  #: longer values are left in the file until they are asked for


SERIES_BYTES = 4 << 30  #: of all data sets, inflated; the largest volume has half of it


def require_room(request: ImagesRequest | EndsRequest) -> None:
    """Refuse a series whose data sets would fill the memory: pydicom inflates each at once.

    Raises
    ------
    UnsuitableSeries
        ``too-large``.
    """
    left = SERIES_BYTES
    for file in request.files:
        most = max(INFLATED_BYTES, MAX_INFLATION * file.path.stat().st_size)
        try:
            length = data_set_bytes(file.path, min(most, left))
        except zlib.error as fault:
            said = "a data set that can be inflated expected, got one that cannot"
            raise UnsuitableSeries(UnsuitableReason.PIXEL_DATA, said) from fault
        if length > most:
            said = f"a data set that inflates to {most} bytes at most expected, got more"
            raise UnsuitableSeries(UnsuitableReason.TOO_LARGE, said)
        left -= length
        if left < 0:
            said = f"data sets of {SERIES_BYTES} bytes at most together expected, got more"
            raise UnsuitableSeries(UnsuitableReason.TOO_LARGE, said)


@contextmanager
def parsing() -> Iterator[None]:
    """Say of a series that it is unreadable where its bytes are no data set.

    Raises
    ------
    UnsuitableSeries
        ``unreadable-instance``, for whatever a parser throws; a fault of the machine passes.
    """
    try:
        yield
    except (*UNREADABLE, InvalidDicomError, zlib.error) as fault:
        if isinstance(fault, OSError) and fault.errno is not None:
            raise
        raise UnsuitableSeries(
            UnsuitableReason.UNREADABLE_INSTANCE,
            "a data set expected, got one that cannot be parsed",
        ) from None


def read_instance(path: Path) -> Dataset:
    """Read an instance; UIDs that its data set lacks are those it was sent under.

    Long values, Pixel Data above all, are read from the file when they are asked for: those of a
    series are not in memory together, but where images of the same place are compared.

    Raises
    ------
    UnsuitableSeries
        ``unreadable-instance`` if its bytes are no data set, behind a header that was read.
    OSError
        If the file cannot be read.
    """
    with parsing():
        ds = dcmread(path, defer_size=LONG_BYTES)
        if ds.file_meta.TransferSyntaxUID.is_deflated:  # a place in the file is none in the data
            ds = dcmread(path)
    for keyword, of_meta in OF_THE_REQUEST.items():
        if not text(ds, keyword):
            setattr(ds, keyword, text(ds.file_meta, of_meta))
    return ds
