"""Command sets and PDU values of any bytes: parsed or refused, never another error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.network import command_set as cs
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import SUCCESS
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_scp import Receiver
from tests.support.peers.wire_client import (
    STORE_CONTEXT,
    WireClient,
    element,
    packed,
    pdu,
    store_request,
    values,
)

elements = st.lists(
    st.builds(element, st.integers(0, 0xFFFF), st.binary(max_size=80))
    | st.builds(
        element,
        st.sampled_from([cs.COMMAND_FIELD, cs.DATA_SET_TYPE, cs.MESSAGE_ID, cs.PRIORITY]),
        st.binary(min_size=2, max_size=2),
    ),
    max_size=8,
).map(b"".join)
contexts = st.sampled_from([0, STORE_CONTEXT, 3, 5, 255])
value = st.tuples(contexts, st.integers(0, 255), elements | st.binary(max_size=300))
PATIENCE_SECONDS = 30  #: with an answer, on a machine that has other work
BOUNDED = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(max_examples=500)
@given(data=elements | st.binary(max_size=200))
def test_a_command_set_is_read_or_refused(data: bytes) -> None:
    try:
        read = cs.parse(data)
    except cs.MalformedCommand:
        return
    assert sum(map(len, read.elements.values())) <= len(data)
    assert isinstance(read.sop_class_uid + read.sop_instance_uid, str)
    answered = cs.parse(cs.c_store_response(STORE_CONTEXT, read, SUCCESS)[12:])
    assert answered.field == cs.C_STORE_RSP
    assert answered.sop_instance_uid == read.sop_instance_uid


@given(uid=st.text("0123456789.", min_size=1, max_size=64), number=st.integers(0, 0xFFFF))
def test_what_was_asked_is_read(uid: str, number: int) -> None:
    read = cs.parse(store_request(uid, number))

    assert (read.field, read.has_data_set, read.sop_instance_uid) == (cs.C_STORE_RQ, True, uid)
    assert read.elements[cs.MESSAGE_ID] == number.to_bytes(2, "little")


@given(missing=st.integers(1, 15))
def test_a_command_set_cut_short_is_refused(missing: int) -> None:
    whole = store_request("1.2.3.45", 1)  # its last element has 16 bytes
    assert cs.parse(whole[:-16]).has_data_set

    with pytest.raises(cs.MalformedCommand):
        cs.parse(whole[:-missing])


@dataclass
class Memory:
    """Keeps data sets in memory."""

    kept: list[bytes] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def keep(self, received: ReceivedInstance) -> int:
        self.kept.append(b"".join(map(bytes, received.body)))
        return SUCCESS

    def record_refusal(self, refusal: Refusal) -> None:
        self.refused.append(refusal)


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[Memory, tuple[str, int]]]:
    receiver = Receiver(
        ae_title="AINODE",
        callers=AllowedCallers(),
        require_called_ae=True,
        limits=AssociationLimits(
            associations=100,
            of_one_address=100,
            pdu_bytes=16384,
            silent_seconds=5,
        ),
    )
    memory = Memory()
    yield memory, receiver.listen(("127.0.0.1", 0), memory)
    receiver.drain(seconds=5)


@BOUNDED
@given(
    pdus=st.lists(
        st.lists(value, max_size=4).map(pdu)
        | st.binary(max_size=40).map(lambda body: b"\x04\x00" + len(body).to_bytes(4) + body),
        min_size=1,
        max_size=4,
    )
)
def test_any_values_of_any_pdu_harm_the_next_sender_in_nothing(
    listening: tuple[Memory, tuple[str, int]], pdus: list[bytes]
) -> None:
    memory, address = listening
    with WireClient(address, seconds=PATIENCE_SECONDS) as client:
        assert client.associate() == 2
        client.send(b"".join(pdus))
    memory.kept.clear()
    good = [*values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [40])]
    with WireClient(address, seconds=PATIENCE_SECONDS) as client:
        assert client.associate() == 2
        client.send(packed([*good, *values(STORE_CONTEXT, 0, b"body", [3])], [2]))
        assert client.answer().elements[cs.STATUS] == SUCCESS.to_bytes(2, "little")
        assert client.release() == 6
    assert b"body" in memory.kept
