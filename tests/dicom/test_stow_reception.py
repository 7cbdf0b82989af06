"""STOW-RS endpoint over real sockets: instances kept as by C-STORE, and bounded requests."""

from __future__ import annotations

import io
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import trustme
from pydicom import DataElement, Dataset, dcmread
from pydicom.uid import MRImageStorage, generate_uid
from sqlalchemy import select

from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.tls import client_context, server_context
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.connections import MAXIMUM_CONNECTIONS
from dicom_node.reception.stow.server import HEAD_SECONDS, StowReceiver
from dicom_node.resources import Resources
from pipeline.series.sop_classes import CT_CLASSES, DOCUMENT_CLASSES
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import transcoded
from storage.database.schema import Instance
from storage.files.folder import StorageFolder
from storage.overview import overview
from tests.support.node_process import NodeProcess, free_port
from tests.support.peers.credentials import credentials
from tests.support.reception import open_resources
from tests.support.samples import feedback_documents as documents

pytestmark = pytest.mark.database

RELATED = 'multipart/related; type="application/dicom"; boundary=b0undary'
STORED, FAILED, OTHER = "00081199", "00081198", "0008119A"
LONG = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {RELATED}\r\n".encode()
LONG += b"Content-Length: 100000\r\n\r\n"
KNOWN = "secret"
LARGEST = 2_000_000  #: bytes, of a request here
LIMITS = Limits(request_bytes=LARGEST, silent_seconds=5)


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=4, size=64)), seed=3)


@dataclass
class Running:
    resources: Resources
    index: IndexWriter
    receiver: StowReceiver
    address: tuple[str, int]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def stop(self) -> None:
        self.receiver.drain(deadline=time.monotonic() + 5)
        self.index.stop()

    def instances(self) -> list[Instance]:
        self.stop()
        with self.resources.sessions() as session:
            return list(session.scalars(select(Instance)))

    def kept(self) -> int:
        return len(list(self.resources.folder.root.glob("incoming/*/*.dcm")))

    def half_kept(self) -> list[Path]:
        return list((self.resources.folder.root / "tmp").iterdir())


def serving(
    folder: Path,
    *,
    token: str = "",
    requests: int = 20,
    kept: StorageFolder | None = None,
    tls: ssl.SSLContext | None = None,
    head_seconds: float = HEAD_SECONDS,
    sop_classes: Sequence[str] = CT_CLASSES,
) -> Running:
    resources = open_resources(folder, storage=kept)
    index = IndexWriter(resources.sessions)
    index.start()
    receiver = StowReceiver(
        token=token,
        limits=LIMITS,
        maximum_requests=requests,
        head_seconds=head_seconds,
        sop_classes=sop_classes,
    )
    address = receiver.listen(("127.0.0.1", 0), InstanceIngest(resources, index), tls=tls)
    return Running(resources, index, receiver, address)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    node = serving(tmp_path)
    yield node
    node.stop()


def part10(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def message(*bodies: bytes, kind: str = "application/dicom") -> bytes:
    head = f"\r\n--b0undary\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + body for body in bodies) + b"\r\n--b0undary--\r\n"


def post(node: Running, content: bytes, path: str = "/studies", **fields: str) -> httpx.Response:
    headers = {"Content-Type": RELATED} | {k.replace("_", "-"): v for k, v in fields.items()}
    with httpx.Client(trust_env=False) as client:
        return client.post(node.url + path, content=content, headers=headers)


def reasons(answer: httpx.Response, which: str = FAILED) -> list[int]:
    items = answer.json().get(which, {"Value": []})["Value"]
    return [item["00081197"]["Value"][0] for item in items]


@pytest.mark.parametrize("syntax", ["explicit", "big-endian", "deflated", "rle"])
def test_an_instance_is_on_the_disk_before_the_answer(
    running: Running, slices: list[Dataset], syntax: str
) -> None:
    sent = transcoded(slices[0], syntax)

    answer = post(running, message(part10(sent)), f"/studies/{sent.StudyInstanceUID}")

    assert (answer.status_code, running.kept()) == (200, 1)
    assert answer.headers["content-type"] == "application/dicom+json"
    (item,) = answer.json()[STORED]["Value"]
    assert item["00081155"]["Value"] == [sent.SOPInstanceUID]
    (row,) = running.instances()
    kept = dcmread(running.resources.folder.locate(row.path))
    assert kept.PixelData == sent.PixelData
    assert kept.file_meta.SourceApplicationEntityTitle == row.calling_ae == "STOW-RS"
    assert row.transfer_syntax_uid == sent.file_meta.TransferSyntaxUID


def test_the_same_instance_again_is_kept_once(running: Running, slices: list[Dataset]) -> None:
    body = part10(slices[0])

    answers = [post(running, message(body, body)), post(running, message(body))]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(running.instances()) == running.kept() == 1


def test_studies_may_come_together_unless_one_is_addressed(
    running: Running, slices: list[Dataset]
) -> None:
    other = deepcopy(slices[1])
    other.StudyInstanceUID, other.SeriesInstanceUID = generate_uid(), generate_uid()
    both = message(part10(slices[0]), part10(other))

    addressed = post(running, both, f"/studies/{slices[0].StudyInstanceUID}")
    assert (addressed.status_code, reasons(addressed), running.kept()) == (202, [0xA900], 1)

    assert post(running, both).status_code == 200
    assert len({row.series_instance_uid for row in running.instances()}) == 2


def test_what_c_store_would_not_take_is_refused_and_shown(
    running: Running, slices: list[Dataset]
) -> None:
    magnetic, video = deepcopy(slices[0]), deepcopy(slices[1])
    magnetic.SOPClassUID = magnetic.file_meta.MediaStorageSOPClassUID = MRImageStorage
    raw = part10(video).replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0", 1
    )  # SMPTE ST 2110-20

    answer = post(running, message(part10(magnetic), raw, part10(slices[2])))

    assert (answer.status_code, reasons(answer)) == (202, [0x0122, 0xC122])
    running.stop()
    with running.resources.sessions() as session:
        refused = {(line.calling_ae, line.what) for line in overview(session).refusals}
    assert refused == {("STOW-RS", "MR Image Storage"), ("STOW-RS", "CT Image Storage")}


@pytest.mark.parametrize(("classes", "status"), [(DOCUMENT_CLASSES, 200), ((), 409)])
def test_documents_of_readers_are_taken_where_the_site_wants_them(
    tmp_path: Path, classes: Sequence[str], status: int
) -> None:
    node = serving(tmp_path, sop_classes=(*CT_CLASSES, *classes))
    note = documents.rejection([documents.named("2.25.101", "2.25.9")])

    assert post(node, message(part10(note))).status_code == status
    assert len(node.instances()) == (status == 200)


def test_what_belongs_to_no_series_is_quarantined(running: Running, slices: list[Dataset]) -> None:
    nobody = deepcopy(slices[0])
    del nobody.SeriesInstanceUID

    answer = post(running, message(part10(nobody)))

    assert (answer.status_code, reasons(answer)) == (409, [0xC000])
    assert len(list(running.resources.folder.root.glob("quarantine/*"))) == 1


@pytest.mark.parametrize("body", [b"", b"no DICOM", b"\0" * 128 + b"DICM"])
def test_what_is_no_instance_is_no_instance(
    running: Running, slices: list[Dataset], body: bytes
) -> None:
    answer = post(running, message(body, part10(slices[0])))

    assert (answer.status_code, reasons(answer, OTHER)) == (202, [0xC000])
    assert running.kept() == 1


NESTED = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)  # an item without an end


def nested(group: int, element: int) -> bytes:
    """A sequence in a sequence, deeper than any parser follows."""
    sequence = struct.pack("<HH2sHL", group, element, b"SQ", 0, 0xFFFFFFFF)
    return (sequence + NESTED) * 3000


@pytest.mark.parametrize("path", ["/studies", "/studies/1.2.3"])
def test_what_no_parser_follows_is_quarantined_as_by_c_store(
    running: Running, slices: list[Dataset], path: str
) -> None:
    whole = part10(slices[0])
    start = whole.index(struct.pack("<HH2sHL", 0x0008, 0x0016, b"UI", 0, 0)[:6])

    answer = post(running, message(whole[:start] + nested(0x0008, 0x1140)), path)

    assert (answer.status_code, reasons(answer)) == (409, [0xC000])
    assert len(list(running.resources.folder.root.glob("quarantine/*"))) == 1


def test_an_instance_whose_study_lies_far_behind_is_not_of_the_study_addressed(
    running: Running, slices: list[Dataset]
) -> None:
    late = deepcopy(slices[0])
    late.add(DataElement(0x00091001, "OB", bytes(400_000)))  # before (0020,000D)

    answer = post(running, message(part10(late)), "/studies/1.1.1")

    assert (answer.status_code, reasons(answer), running.kept()) == (409, [0xA900], 0)


def test_a_file_meta_that_no_parser_follows_is_refused_and_others_are_kept(
    running: Running, slices: list[Dataset]
) -> None:
    meta = b"\0" * 128 + b"DICM" + nested(0x0002, 0x0100)

    answer = post(running, message(meta, part10(slices[0])))

    assert (answer.status_code, reasons(answer, OTHER)) == (202, [0xC000])
    assert running.kept() == 1


def test_parts_of_another_type_are_not_taken(running: Running, slices: list[Dataset]) -> None:
    answer = post(running, message(part10(slices[0]), kind="application/dicom+json"))

    assert (answer.status_code, reasons(answer, OTHER), running.kept()) == (409, [0xC000], 0)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/dicom", 415),
        ('multipart/related; type="application/dicom+json"; boundary=b0undary', 415),
        ("multipart/form-data; boundary=b0undary", 415),
        ('multipart/related; type="application/dicom"', 400),
    ],
)
def test_other_messages_are_refused(
    running: Running, slices: list[Dataset], kind: str, status: int
) -> None:
    answer = post(running, message(part10(slices[0])), Content_Type=kind)

    assert (answer.status_code, running.kept()) == (status, 0)


def test_of_a_truncated_message_what_was_whole_is_kept(
    running: Running, slices: list[Dataset]
) -> None:
    whole = message(part10(slices[0]), part10(slices[1]))

    assert post(running, whole[:-3000]).status_code == 400
    assert post(running, b"something else").status_code == 400

    assert (running.kept(), running.half_kept()) == (1, [])


def test_a_connection_that_breaks_leaves_nothing_half_done(
    running: Running, slices: list[Dataset]
) -> None:
    with socket.create_connection(running.address) as peer:
        peer.sendall(LONG + message(part10(slices[0]))[:5000])
    running.stop()

    assert (running.kept(), running.half_kept()) == (0, [])


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_message_is_refused(running: Running, chunked: bool) -> None:
    content = message(b"\0" * LARGEST)
    headers = {"Content-Type": RELATED}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(
            running.url + "/studies",
            content=iter([content]) if chunked else content,
            headers=headers,
        )

    assert (answer.status_code, running.kept(), running.half_kept()) == (413, 0, [])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("over", "refused"), [(0, False), (1, True)])
def test_a_message_may_be_as_large_as_the_limit(
    running: Running, chunked: bool, over: int, refused: bool
) -> None:
    around = len(message(b""))
    content = message(bytes(LARGEST - around + over))
    assert len(content) == LARGEST + over
    with httpx.Client(trust_env=False) as client:
        answer = client.post(
            running.url + "/studies",
            content=iter([content]) if chunked else content,
            headers={"Content-Type": RELATED},
        )

    assert (answer.status_code == 413) is refused


def test_without_room_a_sender_is_asked_to_come_again(
    tmp_path: Path, slices: list[Dataset]
) -> None:
    room = 999
    node = serving(tmp_path, kept=StorageFolder(tmp_path, 1000, free=lambda _: room))

    answer = post(node, message(part10(slices[0])))
    assert (answer.status_code, reasons(answer), node.kept()) == (503, [0xA700], 0)
    assert int(answer.headers["retry-after"]) > 0

    room = 2**30
    assert post(node, message(part10(slices[0]))).status_code == 200
    node.stop()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("", 401), ("Bearer wrong", 401), ("Basic secret", 401), ("Bearer secret", 200)],
)
def test_who_does_not_know_the_token_is_refused(
    tmp_path: Path, slices: list[Dataset], authorization: str, status: int
) -> None:
    node = serving(tmp_path, token=KNOWN)

    answer = post(node, message(part10(slices[0])), Authorization=authorization)

    assert (answer.status_code, node.kept()) == (status, int(status == 200))
    node.stop()


@dataclass
class Noting:
    """A sink that notes who was turned away, and keeps nothing."""

    refused: list[Refusal] = field(default_factory=list)

    def keep(self, received: ReceivedInstance) -> int:
        raise AssertionError(received)

    def record_refusal(self, refusal: Refusal) -> None:
        self.refused.append(refusal)


def test_nobody_takes_the_address_of_another_or_learns_what_the_server_is() -> None:
    sink = Noting()
    receiver = StowReceiver(token=KNOWN, limits=LIMITS, maximum_requests=1)
    host, port = receiver.listen(("127.0.0.1", 0), sink)
    forged = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7"}

    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://{host}:{port}/studies", headers=forged)

    receiver.drain(deadline=time.monotonic() + 5)
    assert "server" not in answer.headers
    assert [refusal.address for refusal in sink.refused] == ["127.0.0.1"]


def test_twenty_at_once(running: Running, slices: list[Dataset]) -> None:
    together = threading.Barrier(20)

    def one(number: int) -> int:
        ds = deepcopy(slices[number % len(slices)])
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        content = message(part10(ds))
        together.wait()
        return post(running, content).status_code

    with ThreadPoolExecutor(20) as senders:
        assert set(senders.map(one, range(20))) == {200}
    assert len(running.instances()) == 20


def test_more_than_may_run_at_once_are_told_so(tmp_path: Path, slices: list[Dataset]) -> None:
    node = serving(tmp_path, requests=1)
    with socket.create_connection(node.address) as peer:
        peer.sendall(LONG + b"\r\n--b0undary")
        assert post(node, message(part10(slices[0]))).status_code == 503
    node.stop()


def test_who_shows_no_token_takes_no_place(tmp_path: Path, slices: list[Dataset]) -> None:
    node = serving(tmp_path, requests=1, token=KNOWN)
    strangers = [socket.create_connection(node.address) for _ in range(25)]
    for stranger in strangers:
        stranger.sendall(LONG)
    sent = post(node, message(part10(slices[0])), authorization=f"Bearer {KNOWN}")
    assert sent.status_code == 200
    for stranger in strangers:
        stranger.close()
    node.stop()


def test_idle_connections_make_room(running: Running, slices: list[Dataset]) -> None:
    """Half of them have had an answer, the others have said nothing."""
    open_ones = [socket.create_connection(running.address) for _ in range(MAXIMUM_CONNECTIONS)]
    for connection in open_ones[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert post(running, message(part10(slices[0]))).status_code == 200
    more = [socket.create_connection(running.address) for _ in range(MAXIMUM_CONNECTIONS)]
    assert post(running, message(part10(slices[1]))).status_code == 200

    assert is_closed(open_ones[1])
    for connection in (*open_ones, *more):
        connection.close()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(20)
    try:
        while connection.recv(4096):
            continue
    except ConnectionResetError:
        return True
    return True


def is_hung_up_on(connection: socket.socket, pieces: Iterable[bytes]) -> bool:
    """Whether a connection ends while pieces are sent on it, twenty a second."""
    pause = threading.Event()
    try:
        for piece in pieces:
            connection.sendall(piece)
            pause.wait(0.05)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["1st", "2nd"])
def test_a_head_sent_byte_by_byte_comes_to_an_end(tmp_path: Path, before: bytes) -> None:
    node = serving(tmp_path, head_seconds=1)
    with socket.create_connection(node.address, timeout=20) as trickling:
        trickling.sendall(before)
        assert is_hung_up_on(trickling, (bytes((byte,)) for byte in LONG * 20))
    node.stop()


def test_a_body_that_nobody_reads_comes_to_an_end(tmp_path: Path) -> None:
    node = serving(tmp_path, token=KNOWN, head_seconds=1)
    with socket.create_connection(node.address, timeout=20) as refused:
        refused.sendall(LONG.replace(b"100000", b"1000000000"))
        assert refused.recv(4096).startswith(b"HTTP/1.1 401")
        assert is_hung_up_on(refused, (bytes(1000) for _ in range(500)))
    node.stop()


def test_draining_finishes_what_runs_and_takes_nothing_new(
    running: Running, slices: list[Dataset]
) -> None:
    content = message(part10(slices[0]))
    begun = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield content[:1000]
        begun.set()
        running.receiver.retire()
        yield content[1000:]

    with httpx.Client(trust_env=False) as client:
        headers = {"Content-Type": RELATED}
        answer = client.post(running.url + "/studies", content=slowly(), headers=headers)

    assert (begun.is_set(), answer.status_code) == (True, 200)
    running.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(running.address)


@pytest.mark.slow  # a whole node
def test_a_node_takes_by_stow_and_ends_in_order(
    make_node: Callable[..., NodeProcess], slices: list[Dataset]
) -> None:
    port = free_port()
    node = make_node(1, quiet=600, more=f"[dicomweb]\nport = {port}\n")
    node.start()

    with httpx.Client(trust_env=False) as client:
        answer = client.post(
            f"http://127.0.0.1:{port}/studies",
            content=message(part10(slices[0])),
            headers={"Content-Type": RELATED},
        )

    assert (answer.status_code, node.stop()) == (200, 0)
    (series,) = node.overview().series
    assert (series.instances, series.calling_ae) == (1, "STOW-RS")


def test_connections_before_the_tls_handshake_make_room(
    tmp_path: Path, slices: list[Dataset]
) -> None:
    ours = credentials(tmp_path / "keys", trustme.CA(), "node")
    node = serving(tmp_path, tls=server_context(ours, verify_peers=True))
    silent = [socket.create_connection(node.address) for _ in range(MAXIMUM_CONNECTIONS + 10)]

    url = f"https://localhost:{node.address[1]}/studies"
    with httpx.Client(trust_env=False, verify=client_context(ours)) as client:
        headers = {"Content-Type": RELATED}
        answer = client.post(url, content=message(part10(slices[0])), headers=headers)

    assert answer.status_code == 200
    assert is_closed(silent[0])
    for connection in silent:
        connection.close()
    node.stop()


def test_with_tls_senders_show_a_certificate(tmp_path: Path, slices: list[Dataset]) -> None:
    authority = trustme.CA()
    ours = credentials(tmp_path / "keys", authority, "node")
    node = serving(tmp_path, tls=server_context(ours, verify_peers=True))
    url = f"https://localhost:{node.address[1]}/studies"
    content, headers = message(part10(slices[0])), {"Content-Type": RELATED}

    with httpx.Client(trust_env=False, verify=client_context(ours)) as client:
        assert client.post(url, content=content, headers=headers).status_code == 200
    stranger = ssl.create_default_context(cafile=ours.authorities)
    with (
        httpx.Client(trust_env=False, verify=stranger) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.post(url, content=content, headers=headers)
    node.stop()
