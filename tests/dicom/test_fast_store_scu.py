"""Fast Storage SCU: the messages it sends, and every invalid answer of a peer."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.dul import DULServiceProvider
from pynetdicom.presentation import build_context

from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network import command_set as cs
from dicom_node.network.association import Peer, associate
from dicom_node.network.command_set import c_store_request
from dicom_node.network.pynetdicom_internals.fast_store_scu import FastSender
from dicom_node.network.pynetdicom_internals.pdu import MAXIMUM_COMMAND
from dicom_node.network.pynetdicom_internals.reactor_pause import dul_paused, reactor_paused
from dicom_node.network.tls import Credentials, server_context
from tests.support.peers.credentials import credentials
from tests.support.peers.part10 import part10_file
from tests.support.peers.wire_client import ABORT, RELEASE, echo_request, packed
from tests.support.peers.wire_scp import ABORT_TYPE, RELEASE_TYPE, Visit, WireScp, answer, response

LOST = Outcome(verdict=Verdict.UNANSWERED, detail="no answer to C-STORE")
ACCEPTED = Outcome(verdict=Verdict.ACCEPTED, status=0)
LARGE = 1 << 25  #: bytes: more than the buffers of a connection hold


@pytest.fixture
def file(tmp_path: Path) -> OutgoingFile:
    return OutgoingFile.of(part10_file(tmp_path / "one.dcm", bytes(range(250))))


def outcomes(peer: Peer, *files: OutgoingFile) -> list[Outcome]:
    return [outcome for _, outcome in send(files, peer, calling_ae="NODE")]


def all_threads_end() -> bool:
    pause = threading.Event()
    return any(not of_associations() or pause.wait(0.02) for _ in range(150))


def of_associations() -> list[threading.Thread]:
    kinds = (Association, DULServiceProvider)
    return [thread for thread in threading.enumerate() if isinstance(thread, kinds)]


def test_the_request_is_what_pynetdicom_would_send() -> None:
    ds = Dataset()
    ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID = SecondaryCaptureImageStorage, "2.25.12"
    ds.CommandField, ds.MessageID, ds.Priority, ds.CommandDataSetType = 1, 7, 2, 1
    ds.CommandGroupLength = len(encode(ds, True, True) or b"")

    ours = c_store_request(
        sop_class_uid=SecondaryCaptureImageStorage, sop_instance_uid="2.25.12", message_id=7
    )

    assert ours == encode(ds, True, True)


@pytest.mark.parametrize("maximum_length", [0, 8, 9, 51, 1000, 16384, 1 << 30])
@pytest.mark.parametrize("size", [0, 8, 247, 248])
def test_every_length_of_a_pdu_will_do(tmp_path: Path, maximum_length: int, size: int) -> None:
    body = bytes(range(8, 256))[:size]
    file = OutgoingFile.of(part10_file(tmp_path / "one.dcm", body))
    with WireScp(maximum_length=maximum_length) as scp:
        assert outcomes(scp.peer(), file, file) == [ACCEPTED, ACCEPTED]

    (visit,) = scp.visits
    assert [data for _, data in visit.messages] == [body, body]
    assert not maximum_length or visit.longest <= maximum_length
    assert {command.sop_instance_uid for command, _ in visit.messages} == {"2.25.1"}
    assert visit.end == RELEASE_TYPE


@pytest.mark.parametrize("maximum_length", [1, 6, 7])
def test_a_peer_that_takes_no_pdu_with_data_is_told_of_and_tried_again(
    file: OutgoingFile, maximum_length: int
) -> None:
    """What it negotiates is its own fault, and may be mended: the objects wait for that."""
    with WireScp(maximum_length=maximum_length) as scp:
        found = outcomes(scp.peer(), file, file)
    assert {outcome.verdict for outcome in found} == {Verdict.POSTPONED}
    assert all(f"PDUs of {maximum_length} bytes at most" in outcome.detail for outcome in found)
    assert [visit.end for visit in scp.visits] == [ABORT_TYPE]


def secured(folder: Path) -> tuple[ssl.SSLContext, Credentials]:
    """What a peer listens with, and what we call it with."""
    authority = trustme.CA()
    theirs, ours = (credentials(folder, authority, name) for name in ("pacs", "node"))
    return server_context(theirs, verify_peers=True), ours


def test_large_objects_come_through_tls(tmp_path: Path) -> None:
    body = bytes(range(8, 255)) * 3001
    file = OutgoingFile.of(part10_file(tmp_path / "one.dcm", body))
    context, ours = secured(tmp_path)
    for maximum_length in (0, 16384):
        with WireScp(tls=context, credentials=ours, maximum_length=maximum_length) as scp:
            assert outcomes(scp.peer(), file, file) == [ACCEPTED, ACCEPTED]
        assert [data for _, data in scp.visits[0].messages] == [body, body]
        assert scp.visits[0].end == RELEASE_TYPE


WITHOUT_LENGTH = response(status=0xB000)[12:]  # the group length is its first element


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        (answer(response(status=0xA700)), 0xA700),
        (answer(response(status=0x0111), size=1), 0x0111),
        (answer(response(status=0xC000), size=9, per_pdu=3), 0xC000),
        (answer(response(status=0x0110), size=1, per_pdu=100), 0x0110),
        (answer(WITHOUT_LENGTH), 0xB000),
        (answer(response(status=0xB007, instance="2.25.1")), 0xB007),
    ],
    ids=["plain", "tiny PDUs", "several values", "many values", "no group length", "named"],
)
def test_an_answer_is_understood_however_it_is_cut(
    file: OutgoingFile, answers: bytes, status: int
) -> None:
    def one_by_one(visit: Visit) -> None:
        assert visit.message()
        visit.send(answers, [1])
        visit.serve()

    with WireScp(one_by_one) as scp:
        first, second = outcomes(scp.peer(), file, file)

    assert (first.status, second) == (status, ACCEPTED)
    assert len(scp.visits) == 1


NO_ANSWERS = {
    "A-ABORT": ABORT,
    "A-RELEASE": RELEASE,
    "another message": answer(echo_request(1)),
    "another response": answer(response(field=0x8030)),
    "to another request": answer(response(message_id=2)),
    "of another object": answer(response(instance="2.25.2")),
    "a data set to follow": answer(response(data=1)),
    "no status": answer(response()[:-10]),
    "nothing in it": answer(b""),
    "of another context": answer(response(), context=3),
    "a data set": bytes.fromhex("040000000008 000000040100abcd"),
    "cut short": answer(response()[:-1]),
    "no value": bytes.fromhex("040000000003 616263"),
    "a value that exceeds its PDU": bytes.fromhex("040000000006 000000ff0103"),
    "a value without its own header": bytes.fromhex("040000000006 000000000103"),
    "two answers in a PDU": packed([(1, 3, response()), (1, 3, response())], [2]),
    "no PDU": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "4 GB": bytes.fromhex("0400ffffffff"),
    "a long command set": answer(bytes(MAXIMUM_COMMAND + 1)),
}


@pytest.mark.parametrize("nonsense", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_ends_the_association_and_the_next_goes_on(
    file: OutgoingFile, nonsense: bytes
) -> None:
    def behave(visit: Visit) -> None:
        visit.serve(*([answer(response()), nonsense] if len(scp.visits) == 1 else []))

    start = time.monotonic()
    with WireScp(behave) as scp:
        assert outcomes(scp.peer(), file, file) == [ACCEPTED, ACCEPTED]

    broken, whole = scp.visits
    assert len(broken.messages) == 2
    assert broken.end == (0 if nonsense == ABORT else ABORT_TYPE)
    assert (len(whole.messages), whole.end) == (1, RELEASE_TYPE)
    assert time.monotonic() - start < 3
    assert all_threads_end()


def hang_up(visit: Visit) -> None:
    visit.message()


def abort_in_mid_object(visit: Visit) -> None:
    visit.pdu()
    visit.send(ABORT)


def close_in_mid_object(visit: Visit) -> None:
    visit.pdu()


@pytest.mark.parametrize("behave", [hang_up, abort_in_mid_object, close_in_mid_object])
def test_a_peer_that_goes_away_is_tried_with_the_next_object(
    tmp_path: Path, behave: Callable[[Visit], None]
) -> None:
    file = OutgoingFile.of(part10_file(tmp_path / "large.dcm", bytes(LARGE)))
    start = time.monotonic()
    with WireScp(behave) as scp:
        assert outcomes(scp.peer(), file, file) == [LOST, LOST]
    assert len(scp.visits) == 2
    assert time.monotonic() - start < 4
    assert all_threads_end()


def reset(visit: Visit) -> None:
    """Take a message, and have the connection reset: it cannot even be shut down then."""
    visit.message()
    visit.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("behave", [hang_up, reset])
def test_without_an_answer_the_association_and_its_connection_are_at_their_end(
    file: OutgoingFile, behave: Callable[[Visit], None]
) -> None:
    with WireScp(behave) as scp:
        assoc, trouble = associate(
            scp.peer(), [build_context(*file.contexts[0])], calling_ae="NODE"
        )
        assert trouble == ""
        wire = assoc.dul.socket
        assert wire is not None
        connection = wire.socket
        assert connection is not None
        with reactor_paused(assoc), dul_paused(assoc) as is_paused:
            assert is_paused
            assert FastSender(assoc).store(file.path) is None
            assert (assoc.is_aborted, assoc.is_established) == (True, False)
            assert (wire.socket, connection.fileno()) == (None, -1)
    assert all_threads_end()


def test_a_peer_that_goes_away_between_two_objects_is_called_again(file: OutgoingFile) -> None:
    def behave(visit: Visit) -> None:
        visit.message()
        visit.send(answer(response()))

    with WireScp(behave) as scp:
        assert outcomes(scp.peer(), file, file) == [ACCEPTED, ACCEPTED]
    assert [len(visit.messages) for visit in scp.visits] == [1, 1]
    assert all_threads_end()


def keep_silent(visit: Visit) -> None:
    visit.message()
    visit.message()  # what comes instead of one: the end


def trickle(visit: Visit) -> None:
    """Answer a byte at a time, so slowly that the whole is late; then see how it ended."""
    visit.message()
    visit.socket.settimeout(0.05)
    for byte in answer(response()):
        visit.send(bytes([byte]))
        try:
            visit.end = visit.pdu()[0]
        except TimeoutError:
            continue
        return


@pytest.mark.parametrize("behave", [keep_silent, trickle])
def test_a_peer_that_is_too_slow_is_told(
    file: OutgoingFile, behave: Callable[[Visit], None]
) -> None:
    start = time.monotonic()
    with WireScp(behave) as scp:
        assert outcomes(scp.peer(seconds=0.5), file) == [LOST]
        assert 0.5 <= time.monotonic() - start < 4  # seconds; all of the answer takes more
    assert scp.visits[0].end == ABORT_TYPE
    assert all_threads_end()


def test_all_that_ends_by_tls_too(tmp_path: Path) -> None:
    file = OutgoingFile.of(part10_file(tmp_path / "large.dcm", bytes(LARGE)))
    context, ours = secured(tmp_path)
    for behave in (hang_up, abort_in_mid_object, keep_silent):
        with WireScp(behave, tls=context, credentials=ours) as scp:
            start = time.monotonic()
            assert outcomes(scp.peer(seconds=1), file) == [LOST]
            assert time.monotonic() - start < 3
        assert scp.visits[0].end == (ABORT_TYPE if behave is keep_silent else 0)
        assert all_threads_end()


def test_a_peer_that_reads_nothing_is_not_waited_for_longer(tmp_path: Path) -> None:
    """Nor is a PDU aborted in the midst of another."""
    file = OutgoingFile.of(part10_file(tmp_path / "large.dcm", bytes(LARGE)))
    over, read = threading.Event(), bytearray()

    def read_late(visit: Visit) -> None:
        assert over.wait(10)
        with suppress(ConnectionError):
            while data := visit.socket.recv(1 << 16):
                read.extend(data)

    with WireScp(read_late) as scp:
        start = time.monotonic()
        assert outcomes(scp.peer(seconds=0.5), file) == [LOST]
        assert 0.5 <= time.monotonic() - start < 3
        over.set()
    assert 0 < len(read) < LARGE
    assert ABORT not in read
    assert all_threads_end()


def test_a_file_that_becomes_shorter_is_refused_and_the_rest_arrives(
    tmp_path: Path, file: OutgoingFile
) -> None:
    large = part10_file(tmp_path / "large.dcm", bytes(LARGE))

    def behave(visit: Visit) -> None:
        if len(scp.visits) == 1:
            visit.pdu()
            os.truncate(large, 1000)
        visit.serve()

    with WireScp(behave) as scp:
        shorter, whole = outcomes(scp.peer(), OutgoingFile.of(large), file)

    assert shorter == Outcome(verdict=Verdict.REFUSED, detail="cannot send: OSError")
    assert whole == ACCEPTED
    assert [visit.end for visit in scp.visits] == [ABORT_TYPE, RELEASE_TYPE]


def test_a_file_that_cannot_be_read_is_refused_and_the_rest_arrives(
    tmp_path: Path, file: OutgoingFile
) -> None:
    gone = OutgoingFile.of(part10_file(tmp_path / "gone.dcm", b""))
    gone.path.unlink()
    spoilt = OutgoingFile.of(part10_file(tmp_path / "spoilt.dcm", b""))
    spoilt.path.write_bytes(b"no DICOM file")
    other = OutgoingFile.of(part10_file(tmp_path / "other.dcm", b""))
    ds = dcmread(other.path)
    ds.file_meta.MediaStorageSOPClassUID = "1.2.3"
    ds.save_as(other.path)

    with WireScp() as scp:
        found = outcomes(scp.peer(), gone, spoilt, other, file)

    assert [outcome.detail for outcome in found] == [
        "cannot send: FileNotFoundError, see dicom-node doctor",
        "cannot send: InvalidDicomError",
        "cannot send: ValueError",
        "",
    ]
    assert (len(scp.visits), scp.visits[0].end) == (1, RELEASE_TYPE)


def test_a_caller_that_takes_its_time_loses_nothing(file: OutgoingFile) -> None:
    with WireScp() as scp:
        sent = send([file, file], scp.peer(seconds=0.5), calling_ae="NODE")
        found = []
        for _, outcome in sent:
            threading.Event().wait(0.6)  # longer than any timeout of the association
            found.append(outcome)
    assert found == [ACCEPTED, ACCEPTED]
    assert [visit.end for visit in scp.visits] == [RELEASE_TYPE]


def test_a_caller_that_wants_no_more_releases(file: OutgoingFile) -> None:
    with WireScp() as scp:
        sent = send([file, file], scp.peer(), calling_ae="NODE")
        assert next(sent)[1] == ACCEPTED
        sent.close()
    assert [(len(visit.messages), visit.end) for visit in scp.visits] == [(1, RELEASE_TYPE)]
    assert all_threads_end()


def test_a_command_set_names_what_it_answers() -> None:
    assert cs.parse(response(message_id=7)).answers(7, "2.25.1")
    assert not cs.parse(response(message_id=7)).answers(6, "2.25.1")
    assert cs.parse(response(message_id=7, instance="2.25.1")).answers(7, "2.25.1")
    assert not cs.parse(response(message_id=7, instance="2.25.2")).answers(7, "2.25.1")
