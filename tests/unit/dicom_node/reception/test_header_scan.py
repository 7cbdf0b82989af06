"""Header scan: it gives the values that pydicom gives, or none."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.reception.header import TAGS, Header, Unreadable, read_header, skim_header
from dicom_node.reception.header_scan import END_OF_ITEM, END_OF_SEQUENCE, ENDS, ITEM, UNDEFINED

PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
SYNTAXES = (*PLAIN, RLELossless, ExplicitVRBigEndian)
UID_TEXT = st.text("0123456789.", min_size=1, max_size=64)
TEXT = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\\"), max_size=16)
BYTES = st.binary(max_size=12).map(lambda value: value + bytes(len(value) % 2))


def instance(**texts: object) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.2.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2", "1.2.1", "CT"
    ds.PatientID, ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = (
        "A",
        "19700101",
        "20260101",
        "10",
    )
    for name, value in texts.items():
        setattr(ds, name, value)
    ds.add_new(0x7FE00010, "OW", bytes(8))
    return ds


def encoded(ds: Dataset, syntax: str) -> bytes:
    ds.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    file = io.BytesIO()
    with disable_value_validation():
        dcmwrite(
            file,
            ds,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
        )
    return file.getvalue()


def sent(body: bytes, syntax: str = ExplicitVRLittleEndian) -> ReceivedInstance:
    return ReceivedInstance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=syntax,
        calling_ae="CT1",
        body=[body],
    )


def both(folder: Path, body: bytes, syntax: str) -> tuple[Header | None, Header | None]:
    """What the quick way says, and what pydicom says; nothing where that cannot read it."""
    instance = sent(body, syntax)
    path = folder / "instance.dcm"
    path.write_bytes(instance.header + body)
    try:
        thorough = read_header(path)
    except Unreadable:
        thorough = None
    return skim_header(body, instance), thorough


def agree(quick: Header | None, thorough: Header | None) -> bool:
    """Whether the quick way says nothing, or the same; an attribute may be there and empty."""
    if quick is None:
        return True
    return thorough is not None and (
        {name: text for name, text in quick.texts.items() if text},
        quick.sop_class_uid,
        quick.sop_instance_uid,
        quick.transfer_syntax_uid,
    ) == (
        {name: text for name, text in thorough.texts.items() if text},
        thorough.sop_class_uid,
        thorough.sop_instance_uid,
        thorough.transfer_syntax_uid,
    )


def nested(depth: int, *, undefined: bool) -> Sequence:
    item = Dataset()
    item.StudyInstanceUID = "9.9.9"
    if depth:
        item.ReferencedStudySequence = nested(depth - 1, undefined=undefined)
        item["ReferencedStudySequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return Sequence([item])


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_plain_header_is_read_on_the_way(tmp_path: Path, syntax: str, undefined: bool) -> None:
    ds = instance(ReferencedStudySequence=nested(3, undefined=undefined))
    ds["ReferencedStudySequence"].is_undefined_length = undefined

    quick, thorough = both(tmp_path, encoded(ds, syntax), syntax)

    assert quick is not None
    assert quick.texts["StudyInstanceUID"] == "1.2"
    assert agree(quick, thorough)


@pytest.mark.parametrize(
    ("uid", "is_taken"),
    [
        ("1.2.840.113619.2.55", True),
        ("1.2.003.04", True),  # zeros that PS3.5 9.1 forbids, and many send
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", True),
        ("1..2", False),
        ("1.2.", False),
        (".1", False),
        ("CANARYXQ", False),
        ("Muster^Mia", False),
        ("'; drop table", False),
        ("../../..", False),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is odd here on purpose
def test_a_uid_that_is_text_is_not_taken(tmp_path: Path, uid: str, *, is_taken: bool) -> None:
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        with disable_value_validation():
            body = encoded(instance(**{name: uid}), ExplicitVRLittleEndian)

        quick, thorough = both(tmp_path, body, ExplicitVRLittleEndian)

        assert agree(quick, thorough)
        assert (thorough is not None) is is_taken


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is odd here on purpose
@given(
    syntax=st.sampled_from(SYNTAXES),
    texts=st.fixed_dictionaries(
        {},
        optional={
            "StudyInstanceUID": UID_TEXT | TEXT,
            "SeriesInstanceUID": UID_TEXT | TEXT,
            "Modality": st.sampled_from(["CT", "MR ", "", "ct", "A\\B"]) | TEXT,
            "PatientID": TEXT,
            "IssuerOfPatientID": TEXT,
            "StudyDate": TEXT,
            "RequestedProcedurePriority": TEXT,
            "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", "ISO_IR 192", ""]),
            "ReferencedStudySequence": st.builds(
                nested, st.integers(0, 10), undefined=st.booleans()
            ),
        },
    ),
)
def test_it_says_what_pydicom_says_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, syntax: str, texts: dict[str, object]
) -> None:
    with disable_value_validation():
        try:
            body = encoded(instance(**texts), syntax)
        except (UnicodeEncodeError, ValueError):
            return

        assert agree(*both(tmp_path_factory.getbasetemp(), body, syntax))


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is odd here on purpose
@given(
    syntax=st.sampled_from(PLAIN),
    places=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
)
@example(syntax=ExplicitVRLittleEndian, places=[(82, 0)])  # NUL before the modality
def test_damaged_headers_too(
    tmp_path_factory: pytest.TempPathFactory, syntax: str, places: list[tuple[int, int]]
) -> None:
    ds = instance(ReferencedStudySequence=nested(1, undefined=True))
    ds["ReferencedStudySequence"].is_undefined_length = True
    body = bytearray(encoded(ds, syntax))
    for place, value in places:
        body[place % len(body)] = value

    with disable_value_validation():
        assert agree(*both(tmp_path_factory.getbasetemp(), bytes(body), syntax))


@pytest.mark.parametrize("end", range(0, 400, 7))
def test_a_header_cut_short_is_left_to_pydicom(end: int) -> None:
    body = encoded(instance(), ExplicitVRLittleEndian)
    pixels = body.index(b"\xe0\x7f\x10\x00")

    quick = skim_header(body[:end], sent(body))

    assert (quick is None) == (end < pixels + 12)


@given(start=BYTES)
def test_anything_may_come(start: bytes) -> None:
    assert skim_header(start, sent(start)) is None


def test_every_attribute_looked_for_comes_before_the_pixels() -> None:
    assert max(TAGS) < 0x7FE00000


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def start_of(tag: int, vr: bytes = b"") -> bytes:
    """An item, its end, or a sequence, without a length."""
    length = 0 if tag in ENDS else UNDEFINED
    return struct.pack("<HH4sL" if vr else "<HH0sL", tag >> 16, tag & 0xFFFF, vr, length)


FIRST = element(0x00080060, b"CS", b"CT")
SEQUENCE = start_of(0x00081110, b"SQ")
UIDS = element(0x0020000D, b"UI", b"1.2\0") + element(0x0020000E, b"UI", b"1.21")
PIXELS = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 2) + b"\0\0"
ODD = {
    "an element twice": FIRST + UIDS + element(0x0020000E, b"UI", b"1.22"),
    "out of order": UIDS + FIRST,
    "an item that ends as a sequence": FIRST
    + (SEQUENCE + start_of(ITEM) + start_of(END_OF_SEQUENCE) + UIDS + start_of(END_OF_ITEM)),
    "a sequence that ends as an item": FIRST + (SEQUENCE + start_of(END_OF_ITEM) + UIDS),
    "an element in a sequence without item": FIRST
    + (SEQUENCE + UIDS + start_of(END_OF_SEQUENCE) + UIDS),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_structures_are_left_to_pydicom(body: bytes) -> None:
    assert skim_header(FIRST + SEQUENCE + start_of(END_OF_SEQUENCE) + UIDS + PIXELS, sent(b""))
    assert skim_header(body + PIXELS, sent(b"")) is None
