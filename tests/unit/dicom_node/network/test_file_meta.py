"""File Meta Information: the UIDs are those that pydicom reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.file_meta import read_meta

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
DATA_SET = bytes.fromhex("0800050043530a00") + b"ISO_IR 192"
uid = st.lists(st.integers(0, 10**9), min_size=1, max_size=6).map(
    lambda parts: ".".join(map(str, (2, *parts)))
)
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def element(number: int, vr: bytes, value: bytes) -> bytes:
    length = len(value).to_bytes(2, "little")
    if vr in {b"OB", b"UN", b"UR"}:
        length = b"\0\0" + len(value).to_bytes(4, "little")
    return b"\x02\0" + number.to_bytes(2, "little") + vr + length + value


def padded(uid: str, pad: bytes = b"\0") -> bytes:
    return uid.encode() + pad * (len(uid) % 2)


def write(path: Path, *elements: bytes, data: bytes = DATA_SET) -> Path:
    path.write_bytes(bytes(128) + b"DICM" + b"".join(elements) + data)
    return path


def agrees(path: Path) -> bool:
    theirs, end = split_dataset(path)
    with path.open("rb", buffering=0) as file:
        ours = read_meta(file)
    uids = ours.sop_class_uid, ours.sop_instance_uid, ours.transfer_syntax_uid
    return (*uids, ours.end) == (
        theirs.MediaStorageSOPClassUID,
        theirs.MediaStorageSOPInstanceUID,
        theirs.TransferSyntaxUID,
        end,
    )


@RELAXED
@given(
    uids=st.tuples(uid, uid, uid),
    pad=st.sampled_from([b"\0", b" "]),
    private=st.binary(max_size=1500),
    vr=st.sampled_from([b"OB", b"UN", b"UR"]),
    data=st.sampled_from([DATA_SET, b""]),
)
@example((CT, "2.25.1", EXPLICIT), b"\0", bytes(900), b"OB", DATA_SET)
def test_it_is_what_pydicom_reads(
    tmp_path: Path,
    uids: tuple[str, str, str],
    pad: bytes,
    private: bytes,
    vr: bytes,
    data: bytes,
) -> None:
    sop_class, instance, syntax = uids
    path = write(
        tmp_path / "one.dcm",
        element(0x0001, b"OB", b"\0\1"),
        element(0x0002, b"UI", padded(sop_class, pad)),
        element(0x0003, b"UI", padded(instance, pad)),
        element(0x0010, b"UI", padded(syntax, pad)),
        element(0x0102, vr, private + bytes(len(private) % 2)),
        data=data,
    )
    assert agrees(path)


@given(data=st.binary(max_size=400))
@RELAXED
def test_what_is_no_dicom_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file, pytest.raises(InvalidDicomError):
        read_meta(file)


def test_a_class_that_only_the_data_set_names_is_negotiated(tmp_path: Path) -> None:
    named = bytes.fromhex("0800160055491a00") + padded(CT)
    path = write(tmp_path / "one.dcm", element(0x0010, b"UI", padded(EXPLICIT)), data=named)

    file = OutgoingFile.of(path)

    assert (file.sop_class_uid, file.transfer_syntax_uid) == (CT, EXPLICIT)
    with path.open("rb", buffering=0) as file, pytest.raises(AttributeError):
        read_meta(file)
