"""Decode one compressed frame to stored values.

imagecodecs decodes straight into the volume and frees the interpreter while it works; pydicom's
own plugins stand in where it fails. Filler behind an image is left alone, and an image without its
end-of-image marker is taken, as other readers do; an image that is cut off is not.
"""

from __future__ import annotations

from collections.abc import Callable

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from pipeline.series.pixel_data.codestreams import END, pixels_end, read_header
from pipeline.series.pixel_data.layout import PixelLayout
from pipeline.series.pixel_data.rle import FILLER, MOST_AMBIGUOUS, without_filler

Stored = NDArray[np.int16]

TAILS = (b"\x00" * 64, b"\x7f" * 64, b"\x55" * 64)
"""Entropy-coded data of three kinds: pixels that are missing would come out differently."""

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_JPEG_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
#: OpenJPEG reads these; OpenJPH (``htj2k_decode``) ran for ever on some damaged images
_HTJ2K = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)


def decode_rle(frame: bytes, layout: PixelLayout, out: Stored) -> None:
    """Decode an RLE image (PS3.5 annex G) into ``out``, ``(rows, columns)``.

    Raises
    ------
    UnsuitableSeries
        ``pixel-data`` if its segments do not hold the pixels.
    """
    kind = np.dtype(f"<u{layout.bits_allocated // 8}")
    try:
        raw = _rle(frame, layout, kind)
    except (RuntimeError, ValueError) as error:
        raise layout.refusal(
            f"RLE: expected {layout.frame_bytes} bytes, got segments of another length: {error}"
        ) from error
    if len(raw) != layout.frame_bytes:
        raise layout.refusal(f"RLE: expected {layout.frame_bytes} bytes, got {len(raw)}")
    out.view(np.uint16)[...] = np.frombuffer(raw, kind).reshape(out.shape)


def _rle(frame: bytes, layout: PixelLayout, kind: np.dtype[np.generic]) -> bytes:
    try:
        return bytes(imagecodecs.dicomrle_decode(frame, kind, out=layout.frame_bytes))
    except (RuntimeError, ValueError):
        plain = without_filler(frame, layout.rows, layout.columns)
    return bytes(imagecodecs.dicomrle_decode(plain, kind, out=layout.frame_bytes))


def decode_codestream(frame: bytes, layout: PixelLayout, out: Stored) -> None:
    """Decode JPEG, JPEG-LS or JPEG 2000 into ``out``, straight where it has 9 to 16 bits.

    Raises
    ------
    UnsuitableSeries
        ``pixel-data`` if it is another image than the layout announces, or cut off.
    """
    precision = _check_header(frame, layout)
    target = out.view(np.uint16) if precision > 8 else np.empty(out.shape, np.uint8)
    end = pixels_end(frame)
    if not end.has_marker:
        _decode_endless(frame[: end.position], layout, target)
    elif _is_tolerant(layout) and frame[end.position + len(END) :].strip(FILLER):
        if not _holds_all(frame[: end.position], layout, target):
            raise layout.refusal("compressed image: all pixels expected, got an image cut off")
    else:
        _decode(frame, layout, target)
    if precision <= 8:
        out[...] = target


def _check_header(frame: bytes, layout: PixelLayout) -> int:
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
    return header.precision


def _decode_endless(data: bytes, layout: PixelLayout, target: NDArray[np.generic]) -> None:
    """Decode an image without an end-of-image marker, if all of its pixels are there.

    Zeros at the end may be pixels or filler, which the decoder would take for pixels: so the
    pixels must be whole without them, or end where the data end.
    """
    bare = len(data.rstrip(FILLER))
    for length in range(bare, min(bare + MOST_AMBIGUOUS, len(data)) + 1):
        if _holds_all(data[:length], layout, target):
            return
    if _holds_all(data, layout, target) and not _has_more(data, layout, np.empty_like(target)):
        return
    raise layout.refusal(
        "compressed image: expected an end-of-image marker or all pixels, got"
        f" {len(data)} bytes without"
    )


def _has_more(data: bytes, layout: PixelLayout, target: NDArray[np.generic]) -> bool:
    """Say whether an image holds all pixels without its last bytes: then those are filler."""
    shorter = range(MOST_AMBIGUOUS + 1, MOST_AMBIGUOUS + 6)
    return _is_tolerant(layout) and any(
        _holds_all(data[: len(data) - less], layout, target) for less in shorter
    )


def _is_tolerant(layout: PixelLayout) -> bool:
    """Say whether the decoder makes up pixels that are missing: libjpeg does, others refuse."""
    return layout.transfer_syntax in (*_JPEG, *_JPEG_LOSSLESS)


def _holds_all(data: bytes, layout: PixelLayout, target: NDArray[np.generic]) -> bool:
    """Decode an image that ends before its end-of-image marker; say if all pixels are there.

    They are if what follows the bytes changes none of them.
    """
    if not _decode_here(data + END, layout, target):
        return False
    if not _is_tolerant(layout):
        return True
    other = np.empty_like(target)
    return all(
        _decode_here(data + tail + END, layout, other) and np.array_equal(target, other)
        for tail in TAILS
    )


def _decode(frame: bytes, layout: PixelLayout, target: NDArray[np.generic]) -> None:
    if not _decode_here(frame, layout, target):
        target[...] = _decode_by_pydicom(frame, layout).astype(target.dtype)


def _decode_here(frame: bytes, layout: PixelLayout, target: NDArray[np.generic]) -> bool:
    """Decode with imagecodecs; False where it cannot."""
    for decode in _DECODERS.get(layout.transfer_syntax, ()):
        try:
            decode(frame, target)
        except (RuntimeError, ValueError):
            continue
        return True
    return False


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
    return array.astype(np.int32)


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
