"""Encoding again in explicit or implicit VR little endian: the same values, byte for byte."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from dicom_node.delivery.encoding.uncompressed import syntaxes, write_again
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.received_instance import part10_header

ODD_NAME = b"M\xfcller^\xff\xfe "  #: decodes in no character set that is declared


def sample(syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """Make an object with all that is encoded in two ways."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.1"
    ds.PatientName, ds.TextValue = "Doe^Jane", "long, " * 20_000 + "end"
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "T-28000", "Lung"
    outer = Dataset()
    outer.ConceptNameCodeSequence = [inner, inner]
    ds.ContentSequence = [outer, Dataset()]
    ds.ReferencedSeriesSequence = []
    ds.add_new(0x00090010, "LO", "OURS")
    ds.add_new(0x00091001, "UN", b"private ")
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 4, 4, 8, 8, 7
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.PixelData = bytes(range(16))
    return ds


def rewritten(folder: Path, content: bytes, syntax: str = ImplicitVRLittleEndian) -> Dataset:
    source, target = folder / "source.dcm", folder / "again.dcm"
    source.write_bytes(content)
    write_again(source, target, syntax)
    found = dcmread(target)
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.file_meta.MediaStorageSOPInstanceUID == "2.25.1"
    return found


def written(ds: Dataset) -> bytes:
    """Write an object as it is."""
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def encoded(syntax: str, *, undefined: bool = False) -> bytes:
    ds = sample(syntax)
    for sequence in (ds["ContentSequence"], ds.ContentSequence[0]["ConceptNameCodeSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    return written(ds)


PLAIN = pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_everything_is_the_same_in_implicit_vr(tmp_path: Path, undefined: bool) -> None:
    found = rewritten(tmp_path, encoded(ExplicitVRLittleEndian, undefined=undefined))

    expected = sample()
    assert found.PixelData == expected.PixelData
    del found.PixelData, expected.PixelData  # OW in implicit VR: PS3.5 A.1
    assert found == expected
    assert found.ContentSequence[0].ConceptNameCodeSequence[1].CodeMeaning == "Lung"
    assert found[0x00091001].value == b"private "


@PLAIN
def test_what_is_deflated_is_inflated(tmp_path: Path, syntax: str) -> None:
    ds = sample(DeflatedExplicitVRLittleEndian)

    found = rewritten(tmp_path, written(ds), syntax)

    assert (found.TextValue, found.PixelData) == (ds.TextValue, ds.PixelData)


def test_what_is_deflated_and_cut_off_is_not_sent(tmp_path: Path) -> None:
    whole = written(sample(DeflatedExplicitVRLittleEndian))
    with pytest.raises(ValueError, match="cut off"):
        rewritten(tmp_path, whole[: -len(whole) // 8], ExplicitVRLittleEndian)


@PLAIN
def test_what_is_compressed_without_a_loss_is_decompressed(tmp_path: Path, syntax: str) -> None:
    ds = sample()
    ds.compress(RLELossless, generate_instance_uid=False)

    assert rewritten(tmp_path, written(ds), syntax).PixelData == bytes(range(16))


def element(tag: int, vr: bytes, value: bytes, *, long: bool = False) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    length = struct.pack("<xxL", len(value)) if long else struct.pack("<H", len(value))
    return head + length + value


def explicit(*elements: bytes) -> bytes:
    header = part10_header(SecondaryCaptureImageStorage, "2.25.1", ExplicitVRLittleEndian, "")
    return header + b"".join(elements)


ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
UNKNOWN = (
    struct.pack("<HH2sxxL", 9, 0x1002, b"UN", 0xFFFFFFFF)
    + ITEM
    + b"\xff" * 4
    + struct.pack("<HHL", 9, 0x1003, 0xFFFFFFFF)  # a sequence within, in implicit VR already
    + ITEM
    + struct.pack("<LHHL4s", 12, 9, 0x1004, 4, b"deep")
    + END
    + b"\xfe\xff\x0d\xe0"
    + bytes(4)
    + END
)


def test_bytes_are_copied_that_cannot_be_decoded(tmp_path: Path) -> None:
    content = explicit(
        element(0x00080000, b"UL", struct.pack("<L", 4711)),  # a group length, which would be wrong
        element(0x00080018, b"UI", b"2.25.1"),
        UNKNOWN,
        element(0x00100010, b"PN", ODD_NAME),
    )
    found = rewritten(tmp_path, content)

    assert (
        (tmp_path / "again.dcm")
        .read_bytes()
        .endswith(struct.pack("<HHL", 0x10, 0x10, len(ODD_NAME)) + ODD_NAME)
    )
    assert 0x00080000 not in found
    assert UNKNOWN[12:] in (tmp_path / "again.dcm").read_bytes()


@pytest.mark.parametrize(
    "broken",
    [
        element(0x00080018, b"UI", b"2.25.1")[:-1],
        element(0x00080018, b"\0\1", b"2.25.1"),
        element(0x00080018, b"UI", b"2.25.1") + b"\0\0",
        struct.pack("<HH2sxxL", 8, 0x1140, b"SQ", 8) + b"\x08\0\x16\0" + bytes(4),
        struct.pack("<HH2sxxL", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF),
        b"\xfe\xff\x0d\xe0" + bytes(4),  # the end of an item outside of one
    ],
    ids=["cut off", "no VR", "rest", "no item", "no length", "stray delimiter"],
)
def test_what_is_not_explicit_vr_is_not_sent(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        rewritten(tmp_path, explicit(broken))


@pytest.mark.parametrize(
    ("syntax", "others"),
    [
        (ExplicitVRLittleEndian, (ImplicitVRLittleEndian,)),
        (RLELossless, (ExplicitVRLittleEndian, ImplicitVRLittleEndian)),
        (DeflatedExplicitVRLittleEndian, (ExplicitVRLittleEndian, ImplicitVRLittleEndian)),
        (ImplicitVRLittleEndian, ()),  # its own
        (JPEGBaseline8Bit, ()),  # lossy: PS3.5 10.1 waives it
        (JPEG2000, ()),
    ],
)
def test_the_default_is_offered_wherever_it_can_be_made(
    syntax: str, others: tuple[str, ...]
) -> None:
    assert syntaxes(syntax) == (syntax, *others)


def test_what_is_compressed_is_not_offered_so_where_the_site_says_so() -> None:
    file = OutgoingFile(
        path=Path("one.dcm"), sop_class_uid="1.2", transfer_syntax_uid=RLELossless, as_kept=False
    )
    assert file.syntaxes == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
