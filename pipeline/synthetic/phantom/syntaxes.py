"""Transcode a phantom's instances to other transfer syntaxes, all lossless (PS3.5 A)."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy as shallow

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

#: Transfer syntaxes that `transcoded` can write, by the name the command line uses.
TRANSFER_SYNTAXES: dict[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLossless,
    "jls": JPEGLSLossless,
    "j2k": JPEG2000Lossless,
    "htj2k": HTJ2KLossless,
}


def copied(dataset: Dataset) -> Dataset:
    """Copy a dataset and its file meta; values are shared until they are replaced."""
    # pydicom assigns into an element that is there: the elements themselves must be copies
    copy = Dataset({element.tag: shallow(element) for element in dataset})
    copy.file_meta = FileMetaDataset(
        {element.tag: shallow(element) for element in dataset.file_meta}
    )
    return copy


def transcoded(dataset: Dataset, transfer_syntax: str) -> Dataset:
    """Return a copy in another transfer syntax; every one is lossless."""
    if transfer_syntax not in TRANSFER_SYNTAXES:
        raise ValueError(
            f"transfer syntax expected to be one of {', '.join(TRANSFER_SYNTAXES)},"
            f" got {transfer_syntax!r}"
        )
    copy = copied(dataset)
    copy.file_meta.TransferSyntaxUID = TRANSFER_SYNTAXES[transfer_syntax]
    if transfer_syntax == "big-endian":
        swapped = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        copy.add_new("PixelData", "OW", swapped)
    elif transfer_syntax in _ENCODERS:
        encode = _ENCODERS[transfer_syntax]
        copy.add_new("PixelData", "OB", encapsulate([encode(f, dataset) for f in _frames(dataset)]))
        copy["PixelData"].is_undefined_length = True
    return copy


def _frames(dataset: Dataset) -> NDArray[np.uint16 | np.int16]:
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    return np.frombuffer(dataset.PixelData, kind).reshape(-1, dataset.Rows, dataset.Columns)


def _rle(frame: NDArray[np.uint16 | np.int16], dataset: Dataset) -> bytes:
    return get_encoder(RLELossless).encode(
        frame.tobytes(),
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=dataset.PixelRepresentation,
        number_of_frames=1,
        encoding_plugin="pydicom",
    )


def _jpeg_lossless(frame: NDArray[np.uint16 | np.int16], dataset: Dataset) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(frame.view(np.uint16), bitspersample=dataset.BitsStored))


def _jpeg_ls(frame: NDArray[np.uint16 | np.int16], _: Dataset) -> bytes:
    return bytes(imagecodecs.jpegls_encode(frame.view(np.uint16)))


def _jpeg_2000(frame: NDArray[np.uint16 | np.int16], dataset: Dataset) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            frame,
            level=0,
            codecformat="j2k",
            bitspersample=dataset.BitsStored,
            reversible=True,
            resolutions=6,
        )
    )


def _htj2k(frame: NDArray[np.uint16 | np.int16], _: Dataset) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


_ENCODERS: dict[str, Callable[[NDArray[np.uint16 | np.int16], Dataset], bytes]] = {
    "rle": _rle,
    "jpeg-lossless": _jpeg_lossless,
    "jls": _jpeg_ls,
    "j2k": _jpeg_2000,
    "htj2k": _htj2k,
}
