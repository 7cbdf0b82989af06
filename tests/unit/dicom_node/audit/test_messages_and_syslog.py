"""Audit messages reach a syslog server, and no caller waits for one that is away."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast
from xml.etree.ElementTree import Element, fromstring

import pytest
import trustme
from structlog.testing import capture_logs

from dicom_node.audit import messages
from dicom_node.audit.messages import AuditEvent, to_xml
from dicom_node.audit.syslog import Server, SyslogAudit, syslog

AT = datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC)
CT, SEG = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.4"
STUDIES = {"1.2.3": {CT: 300, SEG: 1}, "1.2.4": {CT: 2}}


def written(event: AuditEvent) -> Element:
    return fromstring(to_xml(event, AT, "AINODE"))  # noqa: S314  # we wrote it ourselves


def codes(message: Element, path: str) -> list[str | None]:
    return [code.get("csd-code") for code in message.iterfind(path)]


@pytest.mark.parametrize(
    ("event", "codes_of_event", "action", "users"),
    [
        (messages.application(starts=True), ["110100", "110120"], "E", ["AINODE"]),
        (messages.application(starts=False), ["110100", "110121"], "E", ["AINODE"]),
        (messages.received("CT1", STUDIES), ["110104"], "C", ["CT1", "AINODE"]),
        (messages.received("CT1", STUDIES, again=True), ["110104"], "R", ["CT1", "AINODE"]),
        (messages.begins_to_send("CT1", STUDIES), ["110102"], "E", ["CT1", "AINODE"]),
        (messages.sent("PACS", STUDIES), ["110104"], "C", ["AINODE", "PACS"]),
        (messages.exported("usb", STUDIES), ["110106"], "R", ["AINODE", "usb"]),
        (messages.exported("zip", STUDIES, by="ann"), ["110106"], "R", ["ann", "AINODE", "zip"]),
        (messages.deleted(STUDIES), ["110105"], "D", ["AINODE"]),
        (
            messages.turned_away("X", "10.1.2.3", reason="r"),
            ["110113", "110126"],
            "E",
            ["AINODE", "X"],
        ),
    ],
)
def test_messages_say_what_was_done_and_by_whom(
    event: AuditEvent, codes_of_event: list[str], action: str, users: list[str]
) -> None:
    message = written(event)
    (head,) = message.iterfind("EventIdentification")

    assert codes(head, "*") == codes_of_event
    assert head.get("EventActionCode") == action
    assert head.get("EventDateTime") == "2026-03-01T12:00:00.005+00:00"
    assert [user.get("UserID") for user in message.iterfind("ActiveParticipant")] == users
    (source,) = message.iterfind("AuditSourceIdentification")
    assert source.get("AuditSourceID") == "AINODE"


def test_studies_are_named_by_uid_and_counted_by_class() -> None:
    message = written(messages.received("CT1", STUDIES))

    studies = message.findall("ParticipantObjectIdentification")
    assert [study.get("ParticipantObjectID") for study in studies] == ["1.2.3", "1.2.4"]
    assert codes(message, "ParticipantObjectIdentification/ParticipantObjectIDTypeCode") == [
        "110180",
        "110180",
    ]
    classes = studies[0].findall("ParticipantObjectDescription/SOPClass")
    assert [(item.get("UID"), item.get("NumberOfInstances")) for item in classes] == [
        (CT, "300"),
        (SEG, "1"),
    ]


@pytest.mark.parametrize("event", [messages.received, messages.begins_to_send])
def test_the_patient_of_what_is_received_takes_part(event: Callable[..., AuditEvent]) -> None:
    """PS3.15 A.5.3.3, A.5.3.7: a person, in the role of a patient, by the Patient ID."""
    message = written(event("CT1", {"1.2.3": {CT: 3}}, patient_id="P<1>"))
    _, patient = message.findall("ParticipantObjectIdentification")
    assert patient.attrib == {
        "ParticipantObjectID": "P<1>",
        "ParticipantObjectTypeCode": "1",
        "ParticipantObjectTypeCodeRole": "1",
    }
    (kind,) = patient.iterfind("ParticipantObjectIDTypeCode")
    assert (kind.get("csd-code"), kind.get("codeSystemName")) == ("2", "RFC-3881")


def test_who_is_turned_away_is_named_with_the_address() -> None:
    message = written(messages.turned_away("<X&>", "10.1.2.3", reason="no <TLS>", times=7))
    caller = message.findall("ActiveParticipant")[1]
    assert caller.get("UserID") == "<X&>"
    assert caller.get("NetworkAccessPointID") == "10.1.2.3"
    (head,) = message.iterfind("EventIdentification")
    assert head.get("EventOutcomeIndicator") == "4"
    (subject,) = message.iterfind("ParticipantObjectIdentification")
    assert subject.get("ParticipantObjectID") == "10.1.2.3"
    assert codes(subject, "ParticipantObjectIDTypeCode") == ["110182"]
    (detail,) = subject.iterfind("ParticipantObjectDetail")
    assert detail.get("type") == "Alert Description"
    assert b64decode(detail.get("value", "")) == b"no <TLS> (7 times)"


def test_who_has_no_title_is_named_by_address() -> None:
    message = written(messages.turned_away("", "10.1.2.3", reason="it speaks HTTP"))
    assert message.findall("ActiveParticipant")[1].get("UserID") == "10.1.2.3"


def test_order_is_that_of_the_schema() -> None:
    assert [element.tag for element in written(messages.sent("PACS", {"1.2.3": {}}))] == [
        "EventIdentification",
        "ActiveParticipant",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
    ]


class Collector:
    """A syslog server on loopback."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def take(self, count: int) -> list[bytes]:
        """Take one connection and so many messages from it (octet counting)."""
        self._listening.settimeout(20)
        connection, _ = self._listening.accept()
        connection.settimeout(20)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rb") as stream:
            return [stream.read(_length(stream)) for _ in range(count)]

    def close(self) -> None:
        self._listening.close()


def _length(stream: BinaryIO) -> int:
    return int(b"".join(iter(lambda: stream.read(1), b" ")))


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


def server(port: int, protocol: Literal["udp", "tcp", "tls"]) -> Server:
    return Server(host="127.0.0.1", port=port, protocol=protocol)


def test_messages_arrive_by_tcp_each_with_its_length(collector: Collector) -> None:
    sending = SyslogAudit(server(collector.port, "tcp"), source="AINODE")
    sending.record(messages.application(starts=True))
    sending.record(messages.received("CT1", STUDIES))

    first, second = collector.take(2)

    assert first.startswith(b"<85>1 ")
    assert b" dicom-node " in first
    assert b" DICOM+RFC3881 - \xef\xbb\xbf<?xml" in first
    assert b"110120" in first
    assert second.endswith(b"</AuditMessage>")
    sending.close()


def test_messages_arrive_by_udp_one_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        sending = SyslogAudit(server(listening.getsockname()[1], "udp"), source="AINODE")
        sending.record(messages.application(starts=True))
        assert listening.recv(65536).startswith(b"<85>1 ")
        sending.close()


@pytest.mark.parametrize("trusted", [True, False])
def test_messages_go_by_tls_to_the_server_that_is_known_only(tmp_path: Path, trusted: bool) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    (authority if trusted else trustme.CA()).configure_trust(ours)
    collector = Collector(theirs)
    sending = SyslogAudit(
        Server(host="127.0.0.1", port=collector.port, protocol="tls", tls=ours), source="AINODE"
    )
    sending.record(messages.application(starts=True))

    if trusted:
        assert b"110120" in collector.take(1)[0]
    else:
        with pytest.raises(ssl.SSLError):
            collector.take(1)
    sending.close()
    collector.close()


def test_nobody_waits_for_a_server_that_is_away() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        sending = SyslogAudit(server(taken.getsockname()[1], "tcp"), source="AINODE", room=3)
        for _ in range(10):
            sending.record(messages.application(starts=True))
        assert sending.dropped >= 6  # 3 wait, one may be under way
        sending.close()


@pytest.mark.parametrize(("events", "room"), [(2, 5), (5, 5), (9, 5)])
def test_a_close_says_how_many_were_not_sent(events: int, room: int) -> None:
    with socket.socket() as taken, capture_logs() as told:
        taken.bind(("127.0.0.1", 0))
        sending = SyslogAudit(server(taken.getsockname()[1], "tcp"), source="AINODE", room=room)
        for _ in range(events):
            sending.record(messages.application(starts=True))
        sending.close()

    assert [line["messages"] for line in told if "messages" in line] == [events]


def test_what_waits_is_sent_when_the_server_is_there(collector: Collector) -> None:
    """The connection is broken by the server, and made again."""
    sending = SyslogAudit(server(collector.port, "tcp"), source="AINODE", retry_seconds=0.05)
    sending.record(messages.application(starts=True))
    assert b"110120" in collector.take(1)[0]

    taken: list[bytes] = []
    thread = threading.Thread(target=lambda: taken.extend(collector.take(1)))
    thread.start()
    while thread.is_alive():  # the first to a closed connection is lost: TCP does not tell
        sending.record(messages.application(starts=False))
        thread.join(0.1)

    assert b"110121" in taken[0]
    sending.close()


def test_a_message_begins_as_rfc_5424_says() -> None:
    head = syslog(b"<x/>", AT).split(b" ")
    assert head[0] == b"<85>1"
    assert head[1] == b"2026-03-01T12:00:00.005+00:00"
    assert head[3] == b"dicom-node"
    assert head[5:] == [b"DICOM+RFC3881", b"-", b"\xef\xbb\xbf<x/>"]


def test_an_event_that_cannot_be_put_into_words_stops_nobody(collector: Collector) -> None:
    sending = SyslogAudit(server(collector.port, "tcp"), source="AINODE")
    sending.record(cast(AuditEvent, None))
    assert sending.dropped == 1
    sending.record(messages.application(starts=True))
    assert b"110120" in collector.take(1)[0]
    sending.close()
