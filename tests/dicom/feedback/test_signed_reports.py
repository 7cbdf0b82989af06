"""Signed reports over real connections: kept before they are accepted, and never their text."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from dicom_node import logs
from dicom_node.network.hl7.message import read_segments
from dicom_node.network.hl7.mllp import FrameReader, MllpConnection, MllpPeer, framed
from dicom_node.network.tls import client_context, server_context
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.reports.receiver import MOST_BYTES, Patience, ReportReceiver
from dicom_node.reception.reports.report_keeper import ReportKeeper
from dicom_node.resources import Resources
from storage.database.schema import Base
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable
from storage.results.answers import answers_to
from storage.results.signed_reports import reports_since
from tests.support.peers.credentials import credentials
from tests.support.results_due import START, STUDY, Hands, store_with_results
from tests.support.samples.reports.messages import oru

CANARY = "ZZCANARYZZ"
WAIT_SECONDS = 20.0


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """One positive result of a series of the study."""
    return store_with_results(tmp_path, Hands())


@contextmanager
def listening(
    resources: Resources,
    *,
    senders: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
    patience: Patience | None = None,
) -> Iterator[tuple[tuple[str, int], list[Refusal]]]:
    """A receiver of reports; its address, and what it refuses."""
    refused: list[Refusal] = []
    keeper = ReportKeeper(resources, refused.append)
    receiver = ReportReceiver(senders, keeper.take, refused.append, patience=patience)
    address = receiver.listen(("127.0.0.1", 0), tls=tls)
    try:
        yield address, refused
    finally:
        receiver.stop(time.monotonic() + WAIT_SECONDS)


def codes(answer: bytes | None) -> tuple[str, str]:
    """Acknowledgement code, and control ID."""
    assert answer is not None
    row = read_segments(answer.decode("latin-1"))[1]
    return row.component(1), row.component(2)


def send(address: tuple[str, int], *messages: str) -> list[tuple[str, str]]:
    peer = MllpPeer(host=address[0], port=address[1], seconds=WAIT_SECONDS)
    with MllpConnection(peer) as connection:
        return [codes(connection.exchange(message.encode())) for message in messages]


def kept(resources: Resources) -> list[tuple[str, str]]:
    with resources.sessions.reading() as session:
        return [(one.reference, one.diagnosis) for one in reports_since(session, START)]


@pytest.mark.database
def test_a_report_is_kept_and_accepted_and_answers_the_result(resources: Resources) -> None:
    with listening(resources) as (address, refused):
        message = oru("Typical COVID-19 pneumonia.", study=STUDY)

        assert send(address, message, message) == [("AA", "MSG1"), ("AA", "MSG1")]

    assert (kept(resources), refused) == ([("MSG1", "positive")], [])
    with resources.sessions.reading() as session:
        (line,) = answers_to(session, ["2.25.2"])
    assert (line.answer, line.observer, line.stands) == ("accepted", "report MSG1", True)


@pytest.mark.database
def test_a_correction_takes_the_place_of_the_report(resources: Resources) -> None:
    first = oru("COVID-19 pneumonia.", study=STUDY, at="20260228100000")
    second = oru("No pneumonia.", study=STUDY, at="20260228110000", status="C", control_id="MSG2")

    with listening(resources) as (address, _):
        send(address, second, first)

    assert kept(resources) == [("MSG2", "negative")]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (oru("Pneumonia.", status="P"), "AA"),
        (oru("Pneumonia.", kind="ADT^A01"), "AR"),
        (oru(), "AE"),
    ],
)
def test_nothing_is_kept_of_what_is_no_signed_report(
    resources: Resources, message: str, code: str
) -> None:
    with listening(resources) as (address, refused):
        assert send(address, message) == [(code, "MSG1")]

    assert kept(resources) == []
    assert len(refused) == (code != "AA")
    assert all("DOE" not in str(one) for one in refused)


class Away(Sessions):
    """A database that is away."""

    def __init__(self) -> None:
        pass

    def begin(self) -> Iterator[object]:  # type: ignore[override]  # raises before it is entered
        raise DatabaseUnavailable("away")


def test_nothing_is_accepted_that_is_not_in_the_database(resources: Resources) -> None:
    with listening(replace(resources, sessions=Away())) as (address, refused):
        assert send(address, oru("No pneumonia.", study=STUDY)) == [("AR", "MSG1")]
    assert [one.kind for one in refused] == ["report_refused"]

    with listening(resources) as (address, _):
        assert send(address, oru("No pneumonia.", study=STUDY)) == [("AA", "MSG1")]
    assert kept(resources) == [("MSG1", "negative")]


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, 400), max_size=6))
def test_messages_may_come_in_any_pieces(resources: Resources, cuts: list[int]) -> None:
    """Two messages back to back, with what does not belong to them between."""
    one, other = (
        framed(oru("Pneumonia.", study=STUDY, control_id=name).encode()) for name in ("M1", "M2")
    )
    stream = one + b"\r\n" + other
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    with listening(resources) as (address, refused), socket.create_connection(address) as peer:
        for start, end in pairwise(places):
            peer.sendall(stream[start:end])
        reader = FrameReader(peer, MOST_BYTES)
        answers = [codes(reader.read(WAIT_SECONDS)) for _ in range(2)]

    assert answers == [("AA", "M1"), ("AA", "M2")]
    assert refused == []


@pytest.mark.parametrize(
    ("sent", "patience", "reason"),
    [
        (b"\x0b" + b"x" * (MOST_BYTES + (1 << 15)), Patience(), "at most"),
        (b"\x0bMSH|", Patience(message=0.1), "in time"),
    ],
)
def test_what_is_too_long_or_has_no_end_is_ended(
    resources: Resources, sent: bytes, patience: Patience, reason: str
) -> None:
    with (
        listening(resources, patience=patience) as (address, refused),
        socket.create_connection(address) as peer,
    ):
        try:
            peer.sendall(sent)
            assert peer.recv(1) == b""
        except ConnectionError:  # what was still under way is answered by a reset
            pass
    assert [one.kind for one in refused] == ["association_broken"]
    assert reason in refused[0].reason


def test_a_peer_that_ends_in_the_midst_of_a_message_is_recorded(resources: Resources) -> None:
    with listening(resources) as (address, refused):
        with socket.create_connection(address) as peer:
            peer.sendall(b"\x0bMSH|")
            peer.shutdown(socket.SHUT_WR)
            assert peer.recv(1) == b""
        assert send(address, oru("No pneumonia.", study=STUDY)) == [("AA", "MSG1")]

    assert [one.kind for one in refused] == ["association_broken"]


def test_only_known_addresses_may_send(resources: Resources) -> None:
    with (
        listening(resources, senders=("192.0.2.0/24",)) as (address, refused),
        socket.create_connection(address) as peer,
    ):
        assert peer.recv(1) == b""
    assert [(one.kind, one.address) for one in refused] == [("association_rejected", "127.0.0.1")]

    with listening(resources, senders=("127.0.0.0/8",)) as (address, _):
        assert send(address, oru("No pneumonia.", study=STUDY)) == [("AA", "MSG1")]


def test_reports_come_by_tls(resources: Resources, tmp_path: Path) -> None:
    authority = trustme.CA()
    ours, theirs = (credentials(tmp_path / "tls", authority, name) for name in ("node", "ris"))

    with listening(resources, tls=server_context(ours, verify_peers=True)) as (address, _):
        peer = MllpPeer(
            host="127.0.0.1", port=address[1], seconds=WAIT_SECONDS, tls=client_context(theirs)
        )
        with MllpConnection(peer) as connection:
            answer = connection.exchange(oru("No pneumonia.", study=STUDY).encode())

    assert codes(answer) == ("AA", "MSG1")


def test_what_cannot_be_read_is_never_to_come_again(resources: Resources) -> None:
    """An engine repeats what is answered AR: everything behind it would wait."""
    unknown_set = oru("x", study=STUDY, character_set="KLINGON")

    with listening(resources) as (address, _), socket.create_connection(address) as peer:
        reader = FrameReader(peer, MOST_BYTES)
        answers = []
        for message in (b"", b"hello", unknown_set.encode()):
            peer.sendall(framed(message))
            answers.append(codes(reader.read(WAIT_SECONDS)))

    assert answers == [("AE", ""), ("AE", ""), ("AE", "MSG1")]


def test_a_vertical_tab_cuts_no_message(resources: Resources) -> None:
    with listening(resources) as (address, refused):
        assert send(address, oru("No \x0bpneumonia.", study=STUDY)) == [("AA", "MSG1")]

    assert (kept(resources), refused) == ([("MSG1", "negative")], [])


def test_what_is_being_kept_while_the_node_stops_is_answered_by_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    ours, theirs = (credentials(tmp_path / "tls", authority, name) for name in ("node", "ris"))
    has_come, may_answer = threading.Event(), threading.Event()
    answers = list[bytes]()

    def answer(message: bytes, _address: str) -> bytes:
        has_come.set()
        may_answer.wait(WAIT_SECONDS)
        return b"kept " + message

    def exchange() -> None:
        host, port = address
        peer = MllpPeer(host=host, port=port, seconds=WAIT_SECONDS, tls=client_context(theirs))
        with MllpConnection(peer) as connection:
            answers.append(connection.exchange(b"MSH"))

    receiver = ReportReceiver((), answer, lambda _: None)
    address = receiver.listen(("127.0.0.1", 0), tls=server_context(ours, verify_peers=True))
    sender = threading.Thread(target=exchange)
    sender.start()
    assert has_come.wait(WAIT_SECONDS)
    receiver.stop(time.monotonic())
    may_answer.set()
    sender.join(WAIT_SECONDS)

    assert answers == [b"kept MSH"]


@pytest.mark.database
def test_no_text_and_no_patient_is_kept_or_logged(
    resources: Resources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every text of every table, every file and every line of the log is looked through."""
    writer = logs.configure(level="debug")
    message = oru(
        f"No pneumonia. {CANARY} is well.",
        accession=CANARY,
        patient=CANARY,
        birth="19421103",
        study=STUDY,
    ).replace("DOE^JANE", f"{CANARY}^{CANARY}")
    refused = message.replace("|P|2.5.1", f"|{CANARY}|2.5.1")
    try:
        with listening(resources) as (address, refusals):
            assert send(address, message, refused) == [("AA", "MSG1"), ("AR", "MSG1")]
    finally:
        writer.flush()

    with resources.sessions.reading() as session:
        rows = "\n".join(
            str(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in session.execute(text(f'SELECT * FROM "{table.name}"'))  # noqa: S608  # our own names
        )
    assert "MSG1" in rows
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    logged = capsys.readouterr()
    assert "report_kept" in logged.err
    for secret in (CANARY, "19421103", "is well"):
        assert secret not in rows
        assert secret.encode() not in files
        assert secret not in logged.err + logged.out
        assert secret not in str(refusals)
