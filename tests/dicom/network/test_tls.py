"""DICOM over TLS: certificates of both sides, old protocols refused, renewed files loaded."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trustme

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import echo
from dicom_node.errors import NodeError
from dicom_node.network.association import Peer
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import SUCCESS
from dicom_node.network.tls import Credentials, Renewal, client_context, server_context
from dicom_node.network.tls_failure import tls_cause, tls_failure
from dicom_node.reception.refusals import Refusal
from tests.support.peers.credentials import credentials, expired_credentials
from tests.support.peers.wire_client import STORE_CONTEXT, WireClient, packed, store_request, values
from tests.support.reception import listening as receiver_listening

BODY = bytes(range(256)) * 400


@dataclass
class Memory:
    kept: list[bytes] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def keep(self, received: ReceivedInstance) -> int:
        self.kept.append(b"".join(bytes(chunk) for chunk in received.body))
        return SUCCESS

    def record_refusal(self, refusal: Refusal) -> None:
        self.refused.append(refusal)


@dataclass
class Listening:
    memory: Memory
    address: tuple[str, int]
    ours: Credentials
    context: ssl.SSLContext
    authority: trustme.CA


@pytest.fixture(params=[True, False], ids=["fast", "stock"])
def listening(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Listening]:
    authority = trustme.CA()
    ours = credentials(tmp_path, authority, "node")
    context = server_context(ours, verify_peers=True)
    memory = Memory()
    with receiver_listening(memory, timeout_seconds=5, fast=request.param, tls=context) as address:
        yield Listening(memory, address, ours, context, authority)


def send(address: tuple[str, int], tls: ssl.SSLContext | None) -> int:
    """Send one instance; return its status."""
    with WireClient(address, tls=tls, seconds=5) as client:
        if client.associate() != 2:
            raise ConnectionError
        request = values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [60])
        client.send(packed([*request, *values(STORE_CONTEXT, 0, BODY, [9000])], [1, 3]))
        status = int.from_bytes(client.answer().elements[0x0900], "little")
        client.release()
        return status


def test_a_peer_with_a_certificate_of_the_authority_is_served(
    listening: Listening, tmp_path: Path
) -> None:
    peer = credentials(tmp_path, listening.authority, "scanner")
    assert send(listening.address, client_context(peer)) == SUCCESS
    assert listening.memory.kept == [BODY]


def test_strangers_and_plain_connections_are_not(listening: Listening, tmp_path: Path) -> None:
    stranger = credentials(tmp_path / "stranger", trustme.CA(), "stranger")
    trusting = client_context(stranger)
    listening.authority.configure_trust(trusting)
    nobody = ssl.create_default_context(cafile=str(listening.ours.authorities))
    old = client_context(credentials(tmp_path, listening.authority, "old"))
    for context in (trusting, nobody, None):
        with pytest.raises((OSError, ssl.SSLError)):
            send(listening.address, context)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((OSError, ssl.SSLError)):
        send(listening.address, old)
    assert listening.memory.kept == []


def test_a_peer_that_keeps_silent_in_the_handshake_keeps_nobody_waiting(
    listening: Listening, tmp_path: Path
) -> None:
    peer = client_context(credentials(tmp_path, listening.authority, "scanner"))
    with socket.create_connection(listening.address):
        assert send(listening.address, peer) == SUCCESS


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    listening: Listening, tmp_path: Path
) -> None:
    peer = client_context(credentials(tmp_path, listening.authority, "scanner"))
    renewal = Renewal(credentials=listening.ours, contexts=(listening.context,))
    assert not renewal.poll()
    first = shown(listening.address, peer)
    credentials(tmp_path, listening.authority, "node")
    os.utime(listening.ours.certificate, ns=(1, 1))
    assert renewal.poll()
    second = shown(listening.address, peer)
    assert first != second
    listening.ours.key.write_text("half a key")
    os.utime(listening.ours.key, ns=(2, 2))
    assert not renewal.poll()
    assert shown(listening.address, peer) == second


def shown(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """Certificate that the node shows."""
    with WireClient(address, tls=context) as client:
        assert client.associate() == 2
        assert isinstance(client.socket, ssl.SSLSocket)
        certificate = client.socket.getpeercert(binary_form=True)
        client.release()
    assert certificate is not None
    return certificate


@pytest.mark.parametrize("missing", ["certificate", "key", "authorities"])
def test_files_that_are_no_credentials_are_named(tmp_path: Path, missing: str) -> None:
    ours = credentials(tmp_path, trustme.CA(), "node")
    getattr(ours, missing).write_text("nothing")
    with pytest.raises(NodeError, match=getattr(ours, missing).name):
        server_context(ours, verify_peers=True)


def test_results_are_sent_to_a_peer_by_tls(listening: Listening, tmp_path: Path) -> None:
    ours = credentials(tmp_path, listening.authority, "sender")
    host, port = listening.address
    peer = Peer(ae_title="AINODE", host="localhost", port=port, timeout_seconds=5, tls=ours)
    assert host == "127.0.0.1"
    assert echo(peer, calling_ae="NODE").verdict is Verdict.ACCEPTED
    assert echo(replace(peer, tls=None), calling_ae="NODE").verdict is Verdict.POSTPONED
    strange = credentials(tmp_path / "strange", trustme.CA(), "strange")
    refused = echo(replace(peer, tls=strange), calling_ae="NODE")
    assert refused.verdict is Verdict.POSTPONED
    assert "cannot be reached by TLS: " in refused.detail
    ours.key.unlink()
    lost = echo(peer, calling_ae="NODE")
    assert (lost.verdict, ours.key.name in lost.detail) == (Verdict.POSTPONED, True)


@pytest.mark.parametrize("listening", [True], indirect=True, ids=["fast"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", "it says that our certificate has expired"),
        ("foreign", "it does not trust the authority of our certificate"),
        ("distrustful", "its certificate is of no authority that we trust"),
    ],
)
def test_why_the_handshake_failed_reaches_whoever_calls(
    listening: Listening, tmp_path: Path, name: str, reason: str
) -> None:
    _, port = listening.address
    ours = credentials(tmp_path, listening.authority, "ours")
    strange = credentials(tmp_path / "strange", trustme.CA(), "strange")
    credentials_by_name = {
        "expired": expired_credentials(tmp_path, listening.authority, "old"),
        "foreign": replace(strange, authorities=ours.authorities),
        "distrustful": replace(ours, authorities=strange.authorities),
    }
    tls = credentials_by_name[name]
    peer = Peer(ae_title="AINODE", host="localhost", port=port, timeout_seconds=5, tls=tls)
    assert reason in echo(peer, calling_ae="CT1").detail


def test_a_plain_port_and_a_closed_one_are_told_apart(tmp_path: Path) -> None:
    tls = credentials(tmp_path, trustme.CA(), "ours")
    with receiver_listening(Memory()) as (host, port):
        peer = Peer(ae_title="AINODE", host=host, port=port, timeout_seconds=5, tls=tls)
        plain = echo(peer, calling_ae="CT1").detail
    assert "cannot be reached by TLS: it " in plain
    closed = echo(peer, calling_ae="CT1").detail
    assert closed.endswith(f"cannot be reached: nothing listens on port {port} there")


def test_openssl_reasons_are_sentences() -> None:
    fault = ssl.SSLError(1, "wrong version number")
    fault.reason = "WRONG_VERSION_NUMBER"
    unknown = ssl.SSLError(1, "x")
    unknown.reason = "SOMETHING_NEW"
    wrapped = RuntimeError("connect failed")
    wrapped.__cause__ = fault
    assert tls_failure(fault) == tls_cause(wrapped) == "it does not speak TLS"
    assert tls_failure(unknown) == "the TLS handshake failed (something new)"
    assert tls_cause(ValueError()) == ""
    named = ssl.SSLCertVerificationError(1, "x")
    named.verify_code = 62
    assert tls_failure(named) == "its certificate names another host"
