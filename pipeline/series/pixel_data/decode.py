"""Split Pixel Data of one instance into frames, and decode them to stored values.

The lengths and dimensions are checked before anything is allocated: the data come from the
network.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from pipeline.series.pixel_data.decoders import Stored, decode_codestream, decode_rle
from pipeline.series.pixel_data.fragments import split_frames
from pipeline.series.pixel_data.layout import PixelLayout


def encoded_frames(dataset: Dataset, layout: PixelLayout) -> list[bytes]:
    """Split Pixel Data into the bytes of each frame; lengths are checked.

    Raises
    ------
    UnsuitableSeries
        ``pixel-data`` if there are none, too few or too many.
    """
    try:
        data = dataset.get("PixelData")
    except (ValueError, EOFError) as fault:  # the file is not what its header was read from
        raise layout.refusal("Pixel Data expected where they were, got something else") from fault
    if not isinstance(data, bytes | bytearray) or not data:
        raise layout.refusal("Pixel Data expected, got none")
    data = bytes(data)
    if layout.transfer_syntax.is_encapsulated:
        return _fragments(data, bytes(dataset.get("ExtendedOffsetTable") or b""), layout)
    return _native(data, layout)


def _native(data: bytes, layout: PixelLayout) -> list[bytes]:
    """Frames one behind the other (PS3.5 8.1.1); one value repeated behind them is padding."""
    size = layout.frame_bytes
    expected = size * layout.frames
    behind = data[expected:]
    is_padding = not behind.strip(behind[:1])
    if len(data) < expected or not is_padding:
        raise layout.refusal(
            f"Pixel Data: expected {expected} bytes, got {len(data)}"
            + (", those behind no padding" if len(data) > expected else "")
        )
    return [data[at * size : (at + 1) * size] for at in range(layout.frames)]


def _fragments(data: bytes, extended_offsets: bytes, layout: PixelLayout) -> list[bytes]:
    try:
        return split_frames(data, layout.frames, extended_offsets)
    except (ValueError, EOFError) as error:
        raise layout.refusal(f"Pixel Data: fragments cannot be read, {error}") from error


def decode_frame(frame: bytes, layout: PixelLayout, out: Stored) -> None:
    """Decode one frame into ``out``.

    Parameters
    ----------
    frame
        One item of `encoded_frames`.
    out
        ``(rows, columns)`` int16, contiguous, filled with the stored values. Unsigned values
        keep their 16 bits: ``out.view(numpy.uint16)`` when ``layout.signed`` is false.

    Raises
    ------
    UnsuitableSeries
        ``pixel-data`` if the bytes do not hold the image that the header announces.
    """
    if not layout.transfer_syntax.is_encapsulated:
        order = ">" if layout.transfer_syntax == ExplicitVRBigEndian else "<"
        kind = f"{order}u{layout.bits_allocated // 8}"
        out.view(np.uint16)[...] = np.frombuffer(frame, kind).reshape(out.shape)
        _shift_bits(out, layout, layout.high_bit)
        return
    if layout.transfer_syntax == RLELossless:
        decode_rle(frame, layout, out)
    else:
        decode_codestream(frame, layout, out)
    _shift_bits(out, layout, layout.bits_stored - 1)


def _shift_bits(out: Stored, layout: PixelLayout, high_bit: int) -> None:
    """Drop bits that are not part of the value; extend the sign (PS3.5 8.1.1)."""
    if layout.bits_stored == 16:
        return
    view = out if layout.signed else out.view(np.uint16)
    if layout.signed or high_bit != layout.bits_stored - 1:
        np.left_shift(view, 15 - high_bit, out=view)
        np.right_shift(view, 16 - layout.bits_stored, out=view)
    else:
        np.bitwise_and(view, (1 << layout.bits_stored) - 1, out=view)
