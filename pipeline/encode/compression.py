"""Compress the frames of a result without a loss: JPEG 2000 or RLE (PS3.5 A.4.4, A.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from pipeline.encode.common.as_written import shallow_copy

Frame = NDArray[np.uint8]

RLE_HEADER_BYTES = 64  #: PS3.5 G.5: number of segments and their offsets
RESOLUTIONS = 1  #: noise of the CT is 8 % smaller without wavelets, which only blur it


def compressed(dataset: Dataset, transfer_syntax: UID) -> Dataset:
    """Return a copy whose pixels of 8 bits are compressed; other values are shared.

    Raises
    ------
    KeyError
        If this node does not write that transfer syntax.
    """
    encode = _ENCODERS[transfer_syntax]
    copy = shallow_copy(dataset)
    data = encapsulate([encode(frame) for frame in _frames(dataset)])
    copy.add_new(keyword_dict["PixelData"], "OB", data)
    copy["PixelData"].is_undefined_length = True
    if dataset.SamplesPerPixel > 1:  # PS3.5 8.2.4: the colours are transformed without a loss
        copy.add_new(keyword_dict["PhotometricInterpretation"], "CS", "YBR_RCT")
    return copy


def is_compressed(dataset: Dataset) -> bool:
    """Say whether the pixels are encapsulated already."""
    return bool(dataset["PixelData"].is_undefined_length)


def _frames(dataset: Dataset) -> Iterator[Frame]:
    count = int(dataset.get("NumberOfFrames", 1))
    samples = (dataset.SamplesPerPixel,) if dataset.SamplesPerPixel > 1 else ()
    shape = (count, dataset.Rows, dataset.Columns, *samples)
    data = np.frombuffer(dataset.PixelData, np.uint8, count=int(np.prod(shape)))
    yield from data.reshape(shape)


def _jpeg_2000(frame: Frame) -> bytes:
    codestream = imagecodecs.jpeg2k_encode(
        frame,
        level=0,
        codecformat="j2k",
        reversible=True,
        mct=frame.ndim == 3,
        resolutions=RESOLUTIONS,
        numthreads=1,
    )
    return bytes(codestream)


def _rle(frame: Frame) -> bytes:
    """Encode a frame of one sample as one segment, each row for itself (PS3.5 G.3.1)."""
    header = np.zeros(RLE_HEADER_BYTES // 4, "<u4")
    header[:2] = 1, RLE_HEADER_BYTES
    segment = imagecodecs.packbits_encode(frame, axis=-1)
    return header.tobytes() + bytes(segment) + b"\x00" * (len(segment) % 2)


_ENCODERS: Mapping[str, Callable[[Frame], bytes]] = MappingProxyType(
    {JPEG2000Lossless: _jpeg_2000, RLELossless: _rle}
)
