"""Fast and stock Storage SCP keep and answer the same, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.network import command_set as cs
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import OUT_OF_RESOURCES, SUCCESS
from dicom_node.reception.refusals import Refusal
from tests.support.peers.wire_client import (
    ABORT,
    CT,
    ECHO_CONTEXT,
    EXPLICIT,
    STORE_CONTEXT,
    Value,
    WireClient,
    echo_request,
    packed,
    store_request,
    values,
)
from tests.support.reception import listening

SOME = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FULL_AFTER = 3000  #: bytes: larger instances are refused half-way
sizes = st.lists(st.integers(1, 700), min_size=1, max_size=5)
counts = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@dataclass
class Memory:
    """Keeps instances in memory; has no room for large ones."""

    kept: list[tuple[str, str, str, bytes, bytes]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def keep(self, received: ReceivedInstance) -> int:
        body = b""
        for chunk in received.body:
            body += bytes(chunk)
            if len(body) > FULL_AFTER:
                return OUT_OF_RESOURCES
        uids = received.sop_instance_uid, received.transfer_syntax_uid
        self.kept.append((*uids, received.calling_ae, received.header, body))
        return SUCCESS

    def record_refusal(self, refusal: Refusal) -> None:
        self.refused.append(refusal)


@dataclass
class Side:
    memory: Memory
    address: tuple[str, int]


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    """A fast and a stock receiver."""
    fast, stock = Memory(), Memory()
    with (
        listening(fast, timeout_seconds=20) as fast_address,
        listening(stock, timeout_seconds=20, fast=False) as stock_address,
    ):
        yield Side(fast, fast_address), Side(stock, stock_address)


@dataclass
class Cuts:
    """How a conversation is cut: commands and data sets, PDUs, and the bytes on the wire."""

    command: list[int]
    data: list[int]
    per_pdu: list[int]
    wire: list[int]


cuts = st.builds(
    Cuts, command=sizes, data=sizes, per_pdu=counts, wire=st.lists(st.integers(1, 5000), min_size=1)
)
bodies = st.lists(st.none() | st.binary(min_size=1, max_size=6000), min_size=1, max_size=4)


def message(number: int, body: bytes | None, cut: Cuts) -> list[Value]:
    """A C-STORE request, or a C-ECHO request where there is no body."""
    if body is None:
        return values(ECHO_CONTEXT, 1, echo_request(number), cut.command)
    request = store_request(f"1.2.3.{number}", number)
    return [
        *values(STORE_CONTEXT, 1, request, cut.command),
        *values(STORE_CONTEXT, 0, body, cut.data),
    ]


def converse(side: Side, messages: list[bytes | None], cut: Cuts) -> list[dict[int, bytes]]:
    """Send all and return the answers."""
    side.memory.kept.clear()
    answers = []
    with WireClient(side.address) as client:
        assert client.associate() == 2
        for number, body in enumerate(messages, start=1):
            client.send(packed(message(number, body, cut), cut.per_pdu), cut.wire)
            answers.append(dict(client.answer().elements))
        assert client.release() == 6
    return answers


@SOME
@given(messages=bodies, cut=cuts)
def test_both_ways_keep_and_answer_alike(
    sides: tuple[Side, Side], messages: list[bytes | None], cut: Cuts
) -> None:
    fast, stock = sides
    assert converse(fast, messages, cut) == converse(stock, messages, cut)
    assert fast.memory.kept == stock.memory.kept
    whole = [body for body in messages if body is not None and len(body) <= FULL_AFTER]
    assert [kept[-1] for kept in fast.memory.kept] == whole
    assert all(kept[1] == EXPLICIT for kept in fast.memory.kept)


@SOME
@given(body=st.binary(min_size=50, max_size=3000), cut=cuts, share=st.floats(0, 0.999))
@pytest.mark.parametrize("ending", [ABORT, b""], ids=["abort", "closed"])
def test_an_object_that_breaks_off_is_not_kept_and_the_next_is(
    sides: tuple[Side, Side], body: bytes, cut: Cuts, share: float, ending: bytes
) -> None:
    chosen = message(1, body, cut)
    for side in sides:
        side.memory.kept.clear()
        with WireClient(side.address) as client:
            assert client.associate() == 2
            pdus = [packed([value], [1]) for value in chosen]
            client.send(b"".join(pdus[: int(share * len(pdus))]) + ending)
        converse_again = converse(side, [body], cut)
        assert [kept[-1] for kept in side.memory.kept] == [body]
        assert len(converse_again) == 1


@pytest.mark.parametrize(
    "stream",
    [
        packed(values(STORE_CONTEXT, 0, b"data without a command", [8]), [1]),
        packed([(STORE_CONTEXT, 1, b"\x00" * 70_000)], [1]),
        packed([(STORE_CONTEXT, 3, b"\x01\x00\x00\x00\x02\x00\x00\x00")], [1]),
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x63\x01\x03",
        b"\x04\x00\x00\x00\x00\x03\x00\x00\x00",
        b"\x04\x00\xff\xff\xff\xff",
        b"\x09\x00\x00\x00\x00\x04nope",
        packed(
            [*values(STORE_CONTEXT, 1, store_request("1.2", 1), [99]), (ECHO_CONTEXT, 2, b"x")],
            [1],
        ),
    ],
    ids=[
        "no-command",
        "endless-command",
        "no-command-field",
        "value-longer-than-pdu",
        "no-value-header",
        "pdu-of-4-gb",
        "unknown-pdu",
        "other-context",
    ],
)
def test_what_is_no_message_ends_the_association_alone(
    sides: tuple[Side, Side], stream: bytes
) -> None:
    side = sides[0]
    with WireClient(side.address) as client:
        assert client.associate() == 2
        client.send(stream)
        assert client.read_pdu()[0] in (0, 7)
    assert len(converse(side, [b"still there"], Cuts([99], [99], [1], [999]))) == 1


def test_an_answer_is_what_the_standard_says(sides: tuple[Side, Side]) -> None:
    (answer,) = converse(sides[0], [b"body"], Cuts([50], [50], [1], [999]))
    parsed = cs.Command(field=0, has_data_set=False, elements=answer)
    assert int.from_bytes(answer[cs.COMMAND_FIELD], "little") == cs.C_STORE_RSP
    assert (parsed.sop_class_uid, parsed.sop_instance_uid) == (CT, "1.2.3.1")
    assert int.from_bytes(answer[cs.STATUS], "little") == SUCCESS
