"""Headers are read within bounds: whatever they inflate to, however they nest."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.worker.messages import AnalysisRequest, NoticeRequest, SourceFile
from dicom_node.analysis.worker.notice_task import notice
from dicom_node.analysis.worker.source_files import require_room
from dicom_node.errors import NoNotice
from dicom_node.network.bounded_header import data_set_bytes
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.reception.header import Unreadable, read_header
from pipeline.errors import UnsuitableSeries

MEGABYTE = 1 << 20
MEMORY_BYTES = 48 * MEGABYTE  #: no header may take more, for a moment


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += bytes(len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long_element(tag: int, size: int) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"OB", 0, size) + bytes(size)


def sequence(tag: int, items: int, content: bytes = b"") -> bytes:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
    start = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, 0xFFFFFFFF)
    return start + item * items + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


BEFORE = element(0x00080060, b"CS", b"CT")
UIDS = element(0x0020000D, b"UI", b"1.2") + element(0x0020000E, b"UI", b"1.21")
PIXELS = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OW", 0, 2) + b"\0\0"


def deflated(body: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(body) + squeeze.flush()


def written(folder: Path, body: bytes, syntax: str) -> Path:
    instance = ReceivedInstance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=syntax,
        calling_ae="CT1",
        body=(),
    )
    path = folder / "instance.dcm"
    path.write_bytes(instance.header + body)
    return path


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES


FORMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (ExplicitVRLittleEndian, bytes),
    (DeflatedExplicitVRLittleEndian, deflated),
]


@pytest.mark.parametrize(("syntax", "encoded"), FORMS, ids=["plain", "deflated"])
@pytest.mark.parametrize(
    "body",
    [
        BEFORE + sequence(0x00081140, 270_000) + UIDS + PIXELS,
        BEFORE + struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) * 250_000,
        BEFORE + struct.pack("<HH2sHL", 0x10, 0x20, b"UT", 0, 4 << 20) + bytes(4 << 20) + UIDS,
    ],
    ids=["empty items", "nested", "a value"],
)
def test_a_header_without_end_is_refused_in_little_memory(
    tmp_path: Path, body: bytes, syntax: str, encoded: Callable[[bytes], bytes]
) -> None:
    path = written(tmp_path, encoded(body), syntax)

    with little_memory(), pytest.raises(Unreadable, match=r"2097152 bytes|cannot be parsed"):
        read_header(path)


@pytest.mark.parametrize(("syntax", "encoded"), FORMS, ids=["plain", "deflated"])
@pytest.mark.parametrize(
    "body",
    [
        BEFORE + UIDS + long_element(0x7FDF1001, 60 << 20) + PIXELS,
        BEFORE
        + sequence(0x00081140, 3_000, element(0x00081150, b"UI", b"1." * 30))
        + UIDS
        + PIXELS,
        BEFORE + long_element(0x00191001, 1 << 20) + UIDS + PIXELS,
    ],
    ids=["inflates behind the UIDs", "many references", "a private value"],
)
def test_a_long_header_is_read_in_little_memory(
    tmp_path: Path, body: bytes, syntax: str, encoded: Callable[[bytes], bytes]
) -> None:
    path = written(tmp_path, encoded(body), syntax)

    with little_memory():
        header = read_header(path)

    assert header.texts["SeriesInstanceUID"] == "1.21"
    assert (header.texts["Modality"], header.calling_ae) == ("CT", "CT1")


def request_for(path: Path, files: int = 1) -> AnalysisRequest:
    file = SourceFile(path=path, sop_instance_uid="1.2.3", digest="0" * 64)
    return AnalysisRequest(
        series_instance_uid="1.21",
        files=(file,) * files,
        config=analysis_config_of(Settings()),
        created=datetime(2026, 3, 1, tzinfo=UTC),
    )


def test_a_worker_measures_what_a_series_inflates_to_before_it_reads_it(tmp_path: Path) -> None:
    bomb = deflated(BEFORE + UIDS + long_element(0x7FDF1001, 80 << 20) + PIXELS)
    path = written(tmp_path, bomb, DeflatedExplicitVRLittleEndian)
    with little_memory(), pytest.raises(UnsuitableSeries, match="67108864 bytes at most"):
        require_room(request_for(path).images)

    many = deflated(BEFORE + UIDS + long_element(0x7FDF1001, 60 << 20) + PIXELS)
    path = written(tmp_path, many, DeflatedExplicitVRLittleEndian)
    assert data_set_bytes(path, 1 << 30) > 60 << 20
    with little_memory(), pytest.raises(UnsuitableSeries, match="together"):
        require_room(request_for(path, files=100).images)


def test_what_cannot_be_inflated_is_unsuitable(tmp_path: Path) -> None:
    whole = deflated(BEFORE + UIDS + PIXELS + bytes(range(256)) * 9)
    path = written(tmp_path, whole[:-20], DeflatedExplicitVRLittleEndian)
    with pytest.raises(UnsuitableSeries, match="can be inflated"):
        require_room(request_for(path).images)


def notice_of(series: AnalysisRequest) -> bytes:
    return notice(
        NoticeRequest(series=series, inputs="i", key="k", code="gap", text="A gap.")
    ).part10


def test_a_notice_is_made_in_little_memory_from_many_deflated_headers(tmp_path: Path) -> None:
    behind = deflated(BEFORE + UIDS + long_element(0x7FDF1001, 60 << 20) + PIXELS)
    path = written(tmp_path, behind, DeflatedExplicitVRLittleEndian)
    assert notice_of(request_for(path))  # what it imports is not its memory
    with little_memory():
        assert notice_of(request_for(path, files=40))

    before = deflated(BEFORE + long_element(0x00191001, 60 << 20) + UIDS + PIXELS)
    path = written(tmp_path, before, DeflatedExplicitVRLittleEndian)
    with little_memory(), pytest.raises(NoNotice, match="longer than 4194304 bytes"):
        notice_of(request_for(path, files=40))
