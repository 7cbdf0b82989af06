"""STOW-RS client over real sockets: the outcome of every answer, and secrets stay secret."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from pydicom.uid import DeflatedExplicitVRLittleEndian
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.delivery import peer_of
from dicom_node.cli import app
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.stow_sender import MOST_SILENT, StowSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.errors import NodeError
from dicom_node.network.status_codes import TRANSFER_SYNTAX_NOT_SUPPORTED
from dicom_node.preflight.awaited import awaited
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from tests.support.peers.stow_pacs import STORED, Answer, WebPacs, failed, naming
from tests.support.results_due import UIDS, Hands, capture, standing, store_with_results

pytestmark = pytest.mark.database

BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=60, give_up_after=timedelta(hours=1))


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Resources:
    return store_with_results(tmp_path, clock)


@pytest.fixture
def file(tmp_path: Path) -> OutgoingFile:
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(capture(UIDS[0])))
    return OutgoingFile.of(path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("open-sesame\n")
    return path


def worker(resources: Resources, pacs: WebPacs) -> DeliveryWorker:
    return DeliveryWorker(
        "PACS", StowSender(url=pacs.url, timeout_seconds=5), backoff=BACKOFF, resources=resources
    )


def send(file: OutgoingFile, sender: StowSender) -> Outcome:
    ((_, outcome),) = sender.send([file])
    return outcome


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("refuses", [True, False])
def test_compressed_objects_are_sent_as_the_site_says_and_plain_where_they_are_refused(
    tmp_path: Path, compressed: bool, refuses: bool
) -> None:
    ds = capture(UIDS[0])
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(ds, DeflatedExplicitVRLittleEndian))

    def answer(number: int) -> Answer:
        is_refused = refuses and compressed and number == 0
        return failed(TRANSFER_SYNTAX_NOT_SUPPORTED) if is_refused else STORED

    with WebPacs(answer=answer) as pacs:
        outcome = send(OutgoingFile.of(path), StowSender(url=pacs.url, compressed=compressed))

    assert outcome.verdict is Verdict.ACCEPTED
    kept, plain = str(DeflatedExplicitVRLittleEndian), None
    expected = [kept, plain] if refuses else [kept]
    assert pacs.named_syntaxes == (expected if compressed else [plain])
    assert pacs.held == [ds]


def test_everything_arrives_as_it_is_and_in_order(resources: Resources) -> None:
    with WebPacs() as pacs:
        worker(resources, pacs).run_once()

    assert pacs.uids == list(UIDS)
    assert pacs.received[0] == capture(UIDS[0])
    assert {path for _, path, _ in pacs.requests} == {"/dicom-web/studies"}
    assert standing(resources) == ("delivered", ["accepted"] * 3, "")


@pytest.mark.parametrize(
    ("answer", "state", "middle"),
    [
        ((200, b"{}"), "encoded", "pending"),  # it does not say that it is stored
        ((202, b""), "encoded", "pending"),
        (failed(0x0111), "delivered", "accepted"),  # there already
        (failed(0xB000, 202), "encoded", "pending"),  # a remark, but among the failures
        (failed(0xA700), "encoded", "pending"),
        (failed(0xA900), "failed", "refused"),
        (failed(0x0122, 202), "failed", "refused"),  # nothing stands in for it here
        ((409, b""), "failed", "refused"),
        ((200, b"no JSON"), "encoded", "pending"),
        ((429, b""), "encoded", "pending"),
        ((503, b""), "encoded", "pending"),
        ((400, b""), "failed", "refused"),
        ((401, b""), "encoded", "pending"),
        ((404, b""), "encoded", "pending"),
        ((415, b""), "failed", "refused"),
    ],
)
def test_each_object_is_settled_by_its_own_answer(
    resources: Resources, answer: Answer, state: str, middle: str
) -> None:
    with WebPacs(answer=lambda number: answer if number == 1 else STORED) as pacs:
        worker(resources, pacs).run_once()

    assert standing(resources)[:2] == (state, ["accepted", middle, "accepted"])


def test_what_is_not_named_is_looked_for(resources: Resources) -> None:
    """What a service stores without a word is found by query."""
    with WebPacs(answer=lambda _: (200, b"{}")) as pacs:
        pacs.held = [capture(uid) for uid in UIDS[:2]]
        worker(resources, pacs).run_once()

    assert standing(resources)[:2] == ("encoded", ["accepted", "accepted", "pending"])


@pytest.mark.parametrize("answer", [(409, b""), failed(0xC000)])
def test_what_is_in_conflict_is_looked_for(resources: Resources, answer: Answer) -> None:
    """Archives give many reasons for an object that they have already."""
    with WebPacs(answer=lambda _: answer) as pacs:
        pacs.held = [capture(uid) for uid in UIDS[:2]]
        worker(resources, pacs).run_once()

    assert standing(resources)[:2] == ("failed", ["accepted", "accepted", "refused"])


def test_a_service_that_is_down_gets_everything_later(resources: Resources, clock: Hands) -> None:
    with WebPacs() as pacs:
        pass
    worker(resources, pacs).run_once()
    assert standing(resources)[:2] == ("encoded", ["pending"] * 3)

    clock.now += timedelta(seconds=5)
    with WebPacs(port=pacs.port) as again:
        worker(resources, again).run_once()

    assert standing(resources)[:2] == ("delivered", ["accepted"] * 3)


def test_without_an_answer_nothing_more_is_tried(file: OutgoingFile) -> None:
    """Three hundred objects do not wait for three hundred timeouts."""

    def hang_up(number: int) -> Answer:
        raise ConnectionAbortedError(number)

    with WebPacs(answer=hang_up) as pacs:
        outcomes = [outcome for _, outcome in StowSender(url=pacs.url).send([file] * 5)]

    assert len(pacs.requests) == MOST_SILENT
    verdicts = [Verdict.UNANSWERED] * MOST_SILENT + [Verdict.POSTPONED] * 2
    assert [outcome.verdict for outcome in outcomes] == verdicts
    assert pacs.url in outcomes[2].detail


def swallow(listener: socket.socket) -> None:
    """Take one request, keep nothing of it, and say that it is stored."""
    wire, _ = listener.accept()
    with wire, wire.makefile("rb") as request:
        head = b"".join(iter(request.readline, b"\r\n"))
        found = re.search(rb"Content-Length: (\d+)", head)
        assert found is not None
        left = int(found[1])
        while left:
            left -= len(request.read(min(left, 1 << 16)))
        body = naming(UIDS[0])
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_a_large_object_is_never_in_memory(file: OutgoingFile) -> None:
    size = 64 << 20
    with file.path.open("r+b") as large:
        large.truncate(size)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(target=swallow, args=(listener,))
        peer.start()
        sender = StowSender(url=f"http://127.0.0.1:{listener.getsockname()[1]}/web")
        tracemalloc.start()
        outcome = send(file, sender)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        peer.join()

    assert outcome.verdict is Verdict.ACCEPTED
    assert peak < size / 8


def test_redirects_are_not_followed(file: OutgoingFile) -> None:
    with (
        WebPacs() as other,
        WebPacs(answer=lambda _: (307, b""), more={"Location": other.url + "/studies"}) as pacs,
    ):
        outcome = send(file, StowSender(url=pacs.url))

    assert (outcome.verdict, other.requests) == (Verdict.POSTPONED, [])
    assert "redirects are not followed" in outcome.detail


def test_a_web_page_is_no_archive(file: OutgoingFile) -> None:
    with WebPacs(answer=lambda _: (200, b"<html>"), more={"Content-Type": "text/html"}) as pacs:
        outcome = send(file, StowSender(url=pacs.url))

    assert outcome.verdict is Verdict.POSTPONED
    assert "web page" in outcome.detail


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        ("Bearer open-sesame", lambda url, file: StowSender(url=url, token_file=file)),
        (
            "Basic bm9kZTpvcGVuLXNlc2FtZQ==",
            lambda url, file: StowSender(url=url, user="node", password_file=file),
        ),
    ],
)
def test_who_has_the_secret_is_let_in(
    file: OutgoingFile, secret: Path, header: str, sender: Callable[[str, Path], StowSender]
) -> None:
    with WebPacs(lets_in=header) as pacs:
        with_it = sender(pacs.url, secret)
        assert send(file, with_it).verdict is Verdict.ACCEPTED
        assert with_it.echo().verdict is Verdict.ACCEPTED

        without = StowSender(url=pacs.url)
        assert send(file, without).verdict is Verdict.POSTPONED
        assert "HTTP 401 (see user, password_file and token_file)" in without.echo().detail


def test_a_renewed_token_is_taken_up(file: OutgoingFile, secret: Path) -> None:
    with WebPacs(lets_in="Bearer new") as pacs:
        sender = StowSender(url=pacs.url, token_file=secret)
        assert send(file, sender).verdict is Verdict.POSTPONED
        secret.write_text("new")
        assert send(file, sender).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("content", [None, b"", b"one\ntwo", "geheim-ß".encode()])
def test_a_secret_that_cannot_be_used_is_not_shown(
    file: OutgoingFile, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    outcome = send(file, StowSender(url="http://localhost:1/web", token_file=file))

    assert outcome.verdict is Verdict.POSTPONED
    assert outcome.detail.startswith("token_file: expected")
    assert "two" not in outcome.detail
    assert "geheim" not in outcome.detail


@pytest.mark.parametrize(("trusted", "verdict"), [(True, "accepted"), (False, "postponed")])
def test_certificates_are_verified(
    file: OutgoingFile, tmp_path: Path, trusted: bool, verdict: str
) -> None:
    signer, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer.issue_cert("localhost").configure_cert(context)
    authorities = tmp_path / "authorities.pem"
    (signer if trusted else other).cert_pem.write_to_path(str(authorities))

    with WebPacs(tls=context) as pacs:
        outcome = send(file, StowSender(url=pacs.url, authorities=authorities))

    assert outcome.verdict == verdict
    assert trusted or "its certificate is of no authority that we trust" in outcome.detail


def test_a_missing_file_is_refused_not_lost_sight_of(file: OutgoingFile) -> None:
    file.path.unlink()
    with WebPacs() as pacs:
        assert send(file, StowSender(url=pacs.url)).verdict is Verdict.REFUSED


def ini_with(folder: Path, lines: str) -> Path:
    ini = folder / "node.ini"
    ini.write_text(f"[storage]\nfolder = data\n[destination WEB]\n{lines}\n")
    return ini


def test_echo_asks_a_query(tmp_path: Path) -> None:
    with WebPacs() as pacs:
        ini = ini_with(tmp_path, f"url = {pacs.url}")
        answer = CliRunner().invoke(app.app, ["echo", "WEB", "--config", str(ini)])

    assert answer.output == "WEB answers.\n"
    assert [path for _, path, _ in pacs.requests] == ["/dicom-web/studies?limit=1"]


def test_it_cannot_be_probed(tmp_path: Path) -> None:
    settings = load(ini_with(tmp_path, "url = http://localhost:1/web"))

    with pytest.raises(NodeError, match="WEB, which has none"):
        peer_of(settings, settings.destinations[0])


def test_check_names_a_secret_that_is_missing(tmp_path: Path) -> None:
    settings = load(ini_with(tmp_path, "url = https://localhost:1/web\ntoken_file = gone"))

    (fault,) = awaited(settings)

    assert fault.startswith("[destination WEB] token_file: expected a file")


TRICKLE = 1 << 10  #: bytes that a slow service would send in all, ten a second


@contextmanager
def silent(first: bytes = b"", then: bytes = b"") -> Iterator[str]:
    """Run a service that says so much at once, and then byte by byte or no more; give its URL."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as taken:

        def take() -> None:
            with suppress(OSError):
                while True:
                    wire = taken.enter_context(listener.accept()[0])
                    wire.sendall(first)
                    for byte in then:
                        if over.wait(0.1):
                            return
                        wire.sendall(bytes([byte]))

        taking = threading.Thread(target=take)
        taking.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/web"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            taking.join()


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_service_that_says_no_more_is_not_waited_for(file: OutgoingFile, first: bytes) -> None:
    with silent(first) as url, ThreadPoolExecutor(1) as pool:
        sender = StowSender(url=url, timeout_seconds=0.3)
        outcome = pool.submit(send, file, sender).result(timeout=20)
        assert pool.submit(sender.echo).result(timeout=20).verdict is Verdict.POSTPONED
    assert outcome.verdict is Verdict.UNANSWERED


@pytest.mark.parametrize(
    ("head", "then"),
    [
        (f"HTTP/1.1 200 OK\r\nContent-Length: {TRICKLE}\r\n\r\n", b" "),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        ("HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
        ("", b"H"),
    ],
    ids=["body", "chunks", "header", "status line"],
)
def test_a_service_that_answers_byte_by_byte_is_given_up(
    file: OutgoingFile, head: str, then: bytes
) -> None:
    with silent(head.encode(), then * TRICKLE) as url, ThreadPoolExecutor(1) as pool:
        sender = StowSender(url=url, timeout_seconds=0.5)
        outcome = pool.submit(send, file, sender).result(timeout=20)
    assert outcome.verdict is Verdict.UNANSWERED
    assert head == "" or "too slowly" in outcome.detail  # what is no HTTP is refused at once


@pytest.mark.parametrize(
    ("matches", "state"),
    [
        ([UIDS[2]], "refused"),  # of another instance: the query was not understood
        ([UIDS[2], UIDS[0]], "accepted"),
        ([], "refused"),
    ],
)
def test_a_conflict_is_over_what_is_looked_for_and_nothing_else(
    file: OutgoingFile, matches: list[str], state: str
) -> None:
    with WebPacs(answer=lambda _: (409, b"")) as pacs:
        pacs.finds = matches
        outcome = send(file, StowSender(url=pacs.url))
    assert outcome.verdict == state
