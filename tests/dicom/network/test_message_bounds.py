"""Bounds of what one peer may send, in each kind of message; others are served meanwhile."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.network import command_set as cs
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.message_bounds import (
    FIXED_PART,
    MAXIMUM_ANSWER,
    MAXIMUM_DATA_SET,
    Allowance,
    AssociationLimits,
    Pace,
    check_negotiation,
    first_to_go,
)
from dicom_node.network.pynetdicom_internals.pdu import COMMAND, DATA_SET, Invalid
from dicom_node.network.query_scu import MAXIMUM_ANSWERS, QueryFailed, archive, keys
from dicom_node.network.sop_classes import NOTIFICATION_CLASSES, PERFORMED_STEP, STUDY_ROOT_FIND
from dicom_node.network.status_codes import SUCCESS
from dicom_node.network.storage_commitment import readable
from dicom_node.reception.ingest import InstanceIngest
from tests.support.peers.wire_client import (
    ECHO_CONTEXT,
    STORE_CONTEXT,
    WireClient,
    association_request,
    command,
    echo_request,
    even,
    packed,
    pdu,
    store_request,
    values,
)
from tests.support.reception import (
    Reception,
    indexing,
    listening,
    open_resources,
    running_receiver,
)

FRAGMENT = bytes(16_000)
ENDLESS = 4 * MAXIMUM_DATA_SET  #: bytes after which a sender without end gives up here
N_ACTION_RQ = 0x0130


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Reception]:
    with running_receiver(open_resources(tmp_path), require_called_ae=False) as reception:
        yield reception


def request(field: int, *, has_data_set: bool) -> bytes:
    return command(
        (cs.COMMAND_FIELD, struct.pack("<H", field)),
        (cs.MESSAGE_ID, struct.pack("<H", 1)),
        (cs.DATA_SET_TYPE, struct.pack("<H", 1 if has_data_set else cs.NO_DATA_SET)),
    )


def sent_until_ended(client: WireClient, piece: bytes, size: int, most: int) -> int:
    """Send without end; return the bytes that went before the node hung up, `most` if never."""
    sent = 0
    while sent < most:
        try:
            client.socket.sendall(piece)
        except OSError:
            return sent
        sent += size
    return most


def is_ended(client: WireClient) -> bool:
    with suppress(OSError):
        while client.read_pdu()[0] not in {0, 7}:
            continue
    return True


@pytest.mark.parametrize(
    ("field", "context"),
    [(cs.C_ECHO_RQ, ECHO_CONTEXT), (N_ACTION_RQ, ECHO_CONTEXT), (cs.C_STORE_RQ, 99), (0x0020, 1)],
    ids=["C-ECHO", "N-ACTION", "C-STORE without a context", "C-FIND"],
)
def test_a_data_set_without_end_ends_the_association(
    running: Reception, field: int, context: int
) -> None:
    with WireClient(running.address) as client:
        assert client.associate() == 2
        client.send(packed(values(context, 1, request(field, has_data_set=True), [90]), [1]))
        piece = pdu([(context, DATA_SET, FRAGMENT)])
        assert sent_until_ended(client, piece, len(FRAGMENT), 50 * ENDLESS) < 50 * ENDLESS
        assert is_ended(client)


@pytest.mark.parametrize("data", [b"", b"x"], ids=["empty", "of a byte"])
def test_a_command_set_of_endless_fragments_ends_the_association(
    running: Reception, data: bytes
) -> None:
    with WireClient(running.address) as client:
        assert client.associate() == 2
        piece = pdu([(ECHO_CONTEXT, COMMAND, data)] * 1000)
        assert sent_until_ended(client, piece, len(piece), 50 * ENDLESS) < 50 * ENDLESS
        assert is_ended(client)


@contextmanager
def receiver(folder: Path, limits: AssociationLimits) -> Iterator[Reception]:
    with running_receiver(open_resources(folder), limits=limits) as reception:
        yield reception


def test_an_object_longer_than_the_site_allows_is_not_kept(tmp_path: Path) -> None:
    with receiver(tmp_path, AssociationLimits(object_bytes=100_000)) as running:
        with WireClient(running.address) as client:
            assert client.associate() == 2
            client.send(packed(values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [90]), [1]))
            piece = pdu([(STORE_CONTEXT, DATA_SET, FRAGMENT)])
            assert sent_until_ended(client, piece, len(FRAGMENT), 50 * ENDLESS) < 50 * ENDLESS
            assert is_ended(client)
        assert list((tmp_path / "incoming").rglob("*.dcm")) == []


def test_one_address_leaves_associations_to_others(tmp_path: Path) -> None:
    limits = AssociationLimits(associations=10, of_one_address=2)
    with receiver(tmp_path, limits) as running:
        clients = [WireClient(running.address).__enter__() for _ in range(4)]
        assert [client.associate() for client in clients] == [2, 2, 3, 3]
        with WireClient(running.address) as elsewhere:
            elsewhere.socket.close()
            elsewhere.socket = socket.create_connection(
                running.address, timeout=20, source_address=("127.0.0.9", 0)
            )
            assert elsewhere.associate() == 2
        for client in clients:
            client.socket.close()


def test_requests_whose_answers_nobody_waits_for_stay_in_the_socket(tmp_path: Path) -> None:
    """A peer asks faster than we answer: what waits here is a few requests."""
    waiting, go_on = [], threading.Event()

    def slow(event: Event) -> int:
        waiting.append(event.assoc.dimse.msg_queue.qsize())
        go_on.wait(20)
        return SUCCESS

    services = [(evt.EVT_C_ECHO, slow)]
    with running_receiver(open_resources(tmp_path), services=services) as running:
        with WireClient(running.address) as client:
            assert client.associate() == 2
            one = packed(values(ECHO_CONTEXT, 1, echo_request(1), [90]), [1])
            client.send(one * 2000)
            go_on.set()
            for _ in range(2000):
                assert client.answer().status == SUCCESS
        assert len(waiting) == 2000
        assert max(waiting) < 40


def test_while_a_large_request_is_unanswered_nothing_further_is_read(tmp_path: Path) -> None:
    waiting, go_on, count = [], threading.Event(), 3

    def slow(event: Event) -> tuple[int, None]:
        go_on.wait(20)
        waiting.append(event.assoc.dimse.msg_queue.qsize())
        return SUCCESS, None

    resources = open_resources(tmp_path)
    with indexing(resources) as index:
        sink = InstanceIngest(resources, index)
        services = [(evt.EVT_N_CREATE, slow)]
        with (
            listening(sink, services=services, notified=NOTIFICATION_CLASSES) as address,
            WireClient(address) as client,
        ):
            client.send(association_request(sop_class=PERFORMED_STEP))
            assert client.read_pdu()[0] == 2
            one = packed(values(STORE_CONTEXT, 1, create_request(), [90]), [1])
            data = bytes(MAXIMUM_DATA_SET + 1000)
            large = packed(values(STORE_CONTEXT, DATA_SET, data, [16_000]), [1])
            sender = threading.Thread(target=client.send, args=((one + large) * count,))
            sender.start()
            sender.join(1)  # it cannot end while it is not read
            go_on.set()
            assert [client.answer().status for _ in range(count)] == [SUCCESS] * count
            sender.join()
    assert waiting == [0] * count


def create_request() -> bytes:
    return command(
        (cs.AFFECTED_SOP_CLASS, even(PERFORMED_STEP)),
        (cs.COMMAND_FIELD, struct.pack("<H", cs.N_CREATE_RQ)),
        (cs.MESSAGE_ID, struct.pack("<H", 1)),
        (cs.DATA_SET_TYPE, struct.pack("<H", 1)),
        (cs.AFFECTED_SOP_INSTANCE, even("2.25.1")),
    )


def items(kind: int, count: int, inner: bytes = b"") -> bytes:
    return (struct.pack(">BxH", kind, len(inner)) + inner) * count


@pytest.mark.parametrize(
    "held",
    [
        items(0x20, 6000),
        items(0x20, 1, bytes(4) + items(0x40, 6000)),
        items(0x50, 1, items(0x54, 6000)),
    ],
    ids=["contexts", "transfer syntaxes", "user items"],
)
def test_an_association_request_of_very_many_items_is_refused(
    running: Reception, held: bytes
) -> None:
    body = association_request()[6:FIXED_PART] + held
    with pytest.raises(Invalid, match="items"):
        check_negotiation(struct.pack(">BxL", 1, len(body)) + body)
    with WireClient(running.address) as client:
        client.send(struct.pack(">BxL", 1, len(body)) + body)
        assert is_ended(client)


def test_a_usual_association_request_is_within_bounds() -> None:
    check_negotiation(association_request())
    check_negotiation(association_request()[:90])


def test_what_all_send_together_is_bounded_and_given_back() -> None:
    allowance = Allowance(100)
    with allowance.share() as first, allowance.share() as second:
        first.take(60)
        with pytest.raises(Invalid, match="other peers"):
            second.take(60)
        second.take(40)
    with allowance.share() as third:
        third.take(100)


def test_a_message_must_keep_a_pace() -> None:
    Pace(10).check(0)
    Pace(-10).check(20_000)
    with pytest.raises(Invalid, match="too slow"):
        Pace(-10).check(5_000)


class Silent:
    def __init__(self, address: str) -> None:
        self.requestor = self
        self.address = address


def test_the_oldest_of_the_busiest_address_goes_first() -> None:
    peers: Sequence[Silent] = [Silent(address) for address in ("a", "b", "c", "b", "a", "b")]
    assert first_to_go(peers) is peers[1]  # type: ignore[arg-type]  # as much as it looks at


class Reported:
    """An event with as many references as a test has."""

    def __init__(self, items: int) -> None:
        self.request = self
        self.ActionInformation = BytesIO(bytes.fromhex("feff00e000000000") * items)


@pytest.mark.parametrize(("items", "is_read"), [(10_000, True), (10_001, False)])
def test_a_request_for_commitment_with_very_many_items_is_not_read(
    items: int, is_read: bool
) -> None:
    event = cast(Event, Reported(items))
    refused = pytest.raises(ValueError, match="at most 10000 items")
    with nullcontext() if is_read else refused, readable(event):
        pass


def test_an_archive_whose_answers_never_end_is_left(tmp_path: Path) -> None:
    def endless(_: Event) -> Iterator[tuple[int, Dataset]]:
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        for _ in range(2 * MAXIMUM_ANSWERS):  # for ever, as far as we can see
            yield 0xFF00, match

    with _archive(endless) as peer, pytest.raises(QueryFailed, match="more than"):
        ask(peer)


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    def long(_: Event) -> Iterator[tuple[int, Dataset]]:
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        match.add_new(0x00091001, "OB", bytes(2 * MAXIMUM_ANSWER))
        yield 0xFF00, match

    with _archive(long) as peer, pytest.raises(QueryFailed, match="no answer"):
        ask(peer)


def ask(peer: Peer) -> None:
    with archive(peer, calling_ae="AINODE") as asked:
        asked.find(keys("STUDY", PatientID=""))


@contextmanager
def _archive(find: Callable[[Event], Iterator[tuple[int, Dataset]]]) -> Iterator[Peer]:
    ae = AE("ARCHIVE")
    ae.add_supported_context(STUDY_ROOT_FIND)
    ae.network_timeout = ae.dimse_timeout = 5
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    assert server is not None
    port = server.socket.getsockname()[1]
    try:
        yield Peer(ae_title="ARCHIVE", host="127.0.0.1", port=port, timeout_seconds=60)
    finally:
        server.shutdown()
