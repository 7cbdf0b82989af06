"""Encode a DICOM file again for a destination that does not take its transfer syntax.

Nothing is lost on the way: the SOP Instance, and so its UID, stays the same (PS3.3 C.12.1.1).
"""

from __future__ import annotations

import zlib
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.delivery.encoding.implicit_vr import write_implicit
from dicom_node.network.file_meta import read_meta
from dicom_node.network.presentation_contexts import DEFAULT_TRANSFER_SYNTAX
from dicom_node.network.received_instance import part10_header

COMPRESSED = {
    DeflatedExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
}
"""Can be decompressed; those that have pixels in lossy form only need not (PS3.5 10.1)."""

CHUNK_BYTES = 1 << 20  #: of a data set that is inflated


def syntaxes(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Transfer syntaxes in which an object can be sent, the best first.

    Its own; explicit VR, which names the type of every value; implicit VR, the default that every
    proposal must offer (PS3.5 10.1).
    """
    if transfer_syntax_uid in COMPRESSED:
        own: tuple[str, ...] = (str(transfer_syntax_uid), str(ExplicitVRLittleEndian))
    else:
        own = (str(transfer_syntax_uid),)
    can_be_implicit = ExplicitVRLittleEndian in own
    return (*own, str(DEFAULT_TRANSFER_SYNTAX)) if can_be_implicit else own


def write_again(source: Path, target: Path, transfer_syntax_uid: str) -> None:
    """Write a Part 10 file in explicit or implicit VR little endian.

    Raises
    ------
    OSError, ValueError, AttributeError, and others of pydicom
        If the file cannot be read, or is not what its transfer syntax says.
    """
    with source.open("rb", buffering=0) as head:
        meta = read_meta(head)
    if meta.transfer_syntax_uid == ExplicitVRLittleEndian:
        write_implicit(source, target)
    elif meta.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:
        _write_decompressed(source, target, UID(transfer_syntax_uid))
    elif transfer_syntax_uid == ExplicitVRLittleEndian:
        _write_inflated(source, target)
    else:
        inflated = target.with_suffix(".explicit")
        _write_inflated(source, inflated)
        write_implicit(inflated, target)


def _write_inflated(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as head:
        meta = read_meta(head)
    uids = meta.sop_class_uid, meta.sop_instance_uid
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    with source.open("rb") as file, target.open("wb") as out:
        out.write(part10_header(*uids, ExplicitVRLittleEndian, ""))
        file.seek(meta.end)
        while not inflate.eof and (data := inflate.unconsumed_tail or file.read(CHUNK_BYTES)):
            out.write(inflate.decompress(data, CHUNK_BYTES))
        out.write(inflate.flush())
    if not inflate.eof:
        raise ValueError("expected a deflated data set, got one that is cut off")


def _write_decompressed(source: Path, target: Path, transfer_syntax: UID) -> None:
    ds = dcmread(source)
    ds.decompress(generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = transfer_syntax
    implicit = transfer_syntax == ImplicitVRLittleEndian
    ds.save_as(target, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
