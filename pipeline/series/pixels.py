"""Decode Pixel Data of one instance to stored values, whatever the transfer syntax.

imagecodecs decodes straight into the volume and frees the interpreter while it works; pydicom's
own plugins stand in where it fails. The lengths and dimensions are checked before anything is
allocated: the data come from the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import integer, text
from pipeline.series.codestreams import is_whole, read_header

MAX_SIDE = 4096  #: rows or columns; CT reconstructs 512 to 2048
BITS_ALLOCATED = (8, 16)

Stored = NDArray[np.int16]

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_JPEG_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
#: OpenJPEG reads these; OpenJPH (``htj2k_decode``) ran for ever on some damaged images
_HTJ2K = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """Layout of the stored values of one instance (PS3.3 C.7.6.3).

    Attributes
    ----------
    signed
        Whether stored values are two's complement.
    """

    sop_instance_uid: str
    transfer_syntax: UID
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @classmethod
    def of(cls, dataset: Dataset) -> PixelLayout:
        """Layout of a dataset as ``dcmread`` gives it.

        Raises
        ------
        UnsuitableSeries
            ``missing-attribute``, or ``pixel-data`` if a value is not one a CT image can have.
        """
        allocated = integer(dataset, "BitsAllocated")
        stored = integer(dataset, "BitsStored", allocated)
        layout = cls(
            sop_instance_uid=text(dataset, "SOPInstanceUID"),
            transfer_syntax=_transfer_syntax(dataset),
            rows=integer(dataset, "Rows"),
            columns=integer(dataset, "Columns"),
            frames=integer(dataset, "NumberOfFrames", 1),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=integer(dataset, "HighBit", stored - 1),
            signed=integer(dataset, "PixelRepresentation", 0) == 1,
        )
        layout._check(integer(dataset, "SamplesPerPixel", 1))
        return layout

    def _check(self, samples: int) -> None:
        for name, value, low, high in (
            ("Samples per Pixel", samples, 1, 1),
            ("Rows", self.rows, 1, MAX_SIDE),
            ("Columns", self.columns, 1, MAX_SIDE),
            ("Number of Frames", self.frames, 1, 2**31 - 1),
            ("Bits Stored", self.bits_stored, 1, self.bits_allocated),
            ("High Bit", self.high_bit, self.bits_stored - 1, self.bits_allocated - 1),
        ):
            if not low <= value <= high:
                raise self.refusal(f"{name} of {low} to {high} expected, got {value}")
        if self.bits_allocated not in BITS_ALLOCATED:
            raise self.refusal(f"Bits Allocated of 8 or 16 expected, got {self.bits_allocated}")

    @property
    def frame_bytes(self) -> int:
        """Length of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8

    def refusal(self, reason: str) -> UnsuitableSeries:
        """Build the error to raise, naming the instance."""
        return UnsuitableSeries(
            UnsuitableReason.PIXEL_DATA, f"{reason} (instance {self.sop_instance_uid})"
        )


def _transfer_syntax(dataset: Dataset) -> UID:
    meta = getattr(dataset, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if not syntax:
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE, "TransferSyntaxUID expected, got none"
        )
    if syntax not in AllTransferSyntaxes:
        raise UnsuitableSeries(
            UnsuitableReason.PIXEL_DATA,
            "no decoder could read the image: its transfer syntax is not of the standard",
        )
    return UID(syntax)


def encoded_frames(dataset: Dataset, layout: PixelLayout) -> list[bytes]:
    """Split Pixel Data into the bytes of each frame; lengths are checked.

    Raises
    ------
    UnsuitableSeries
        ``pixel-data`` if there are none, too few or too many.
    """
    data = dataset.get("PixelData")
    if not data:
        raise layout.refusal("Pixel Data expected, got none")
    data = bytes(data)
    if layout.transfer_syntax.is_encapsulated:
        return _fragments(data, layout)
    expected = layout.frame_bytes * layout.frames
    if len(data) not in (expected, expected + expected % 2):
        raise layout.refusal(f"Pixel Data: expected {expected} bytes, got {len(data)}")
    size = layout.frame_bytes
    return [data[at * size : (at + 1) * size] for at in range(layout.frames)]


def _fragments(data: bytes, layout: PixelLayout) -> list[bytes]:
    try:
        offsets = parse_basic_offsets(data)
        frames = list(generate_frames(data, number_of_frames=layout.frames))
    except (ValueError, EOFError) as error:
        raise layout.refusal(f"Pixel Data: fragments cannot be read, {error}") from error
    for got in (len(offsets) or len(frames), len(frames)):
        if got != layout.frames:
            raise layout.refusal(f"Pixel Data: expected {layout.frames} frames, got {got}")
    return frames


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
        _decode_rle(frame, layout, out)
    else:
        _decode_codestream(frame, layout, out)
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


def _decode_rle(frame: bytes, layout: PixelLayout, out: Stored) -> None:
    kind = np.dtype(f"<u{layout.bits_allocated // 8}")
    try:
        raw = imagecodecs.dicomrle_decode(frame, kind, out=layout.frame_bytes)
    except (RuntimeError, ValueError) as error:
        raise layout.refusal(
            f"RLE: expected {layout.frame_bytes} bytes, got segments of another length: {error}"
        ) from error
    if len(raw) != layout.frame_bytes:
        raise layout.refusal(f"RLE: expected {layout.frame_bytes} bytes, got {len(raw)}")
    out.view(np.uint16)[...] = np.frombuffer(raw, kind).reshape(out.shape)


def _decode_codestream(frame: bytes, layout: PixelLayout, out: Stored) -> None:
    """JPEG, JPEG-LS, JPEG 2000: straight into ``out`` where the codestream has 9 to 16 bits."""
    precision = _check_codestream(frame, layout)
    target = out.view(np.uint16) if precision > 8 else np.empty(out.shape, np.uint8)
    for decode in _DECODERS.get(layout.transfer_syntax, ()):
        try:
            decode(frame, target)
        except (RuntimeError, ValueError):
            continue
        if precision <= 8:
            out[...] = target
        return
    out[...] = _decode_by_pydicom(frame, layout)


def _check_codestream(frame: bytes, layout: PixelLayout) -> int:
    """Compare the codestream's own header with the dataset's; returns its precision, bits."""
    try:
        header = read_header(frame)
    except ValueError as error:
        raise layout.refusal(f"compressed image: {error}") from error
    expected = (layout.rows, layout.columns, 1)
    got = (header.rows, header.columns, header.components)
    if got != expected or header.precision > layout.bits_allocated:
        raise layout.refusal(
            f"compressed image: expected rows, columns, samples {expected} of at most"
            f" {layout.bits_allocated} bits, got {got} of {header.precision}"
        )
    if not is_whole(frame):
        raise layout.refusal(
            f"compressed image: expected an end-of-image marker, got {len(frame)} bytes without"
        )
    return header.precision


def _decode_by_pydicom(frame: bytes, layout: PixelLayout) -> NDArray[np.generic]:
    """Decode with whichever plugin pydicom finds."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = layout.transfer_syntax
    image.Rows, image.Columns, image.SamplesPerPixel = layout.rows, layout.columns, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored = layout.bits_allocated, layout.bits_stored
    image.HighBit, image.PixelRepresentation = layout.high_bit, int(layout.signed)
    image.PixelData = encapsulate([frame])
    try:
        array, _ = get_decoder(layout.transfer_syntax).as_array(image, index=0)
    except (RuntimeError, ValueError) as error:
        name = layout.transfer_syntax.name
        raise layout.refusal(f"{name}: no decoder could read the image") from error
    return array.astype(np.int32).astype(np.int16)


def _jpeg(frame: bytes, out: NDArray[np.generic]) -> None:
    imagecodecs.jpeg8_decode(frame, out=out)


def _ljpeg(frame: bytes, out: NDArray[np.generic]) -> None:
    imagecodecs.ljpeg_decode(frame, out=out)


def _jpegls(frame: bytes, out: NDArray[np.generic]) -> None:
    imagecodecs.jpegls_decode(frame, out=out)


def _jpeg2k(frame: bytes, out: NDArray[np.generic]) -> None:
    imagecodecs.jpeg2k_decode(frame, numthreads=1, out=out)


_DECODERS: dict[str, tuple[Callable[[bytes, NDArray[np.generic]], None], ...]] = {
    **dict.fromkeys(_JPEG, (_jpeg,)),
    **dict.fromkeys(_JPEG_LOSSLESS, (_jpeg, _ljpeg)),
    **dict.fromkeys(_JPEG_LS, (_jpegls,)),
    **dict.fromkeys(_JPEG_2000, (_jpeg2k,)),
    **dict.fromkeys(_HTJ2K, (_jpeg2k,)),
}
