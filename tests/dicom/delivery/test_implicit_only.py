"""Peers that take the default transfer syntax only get everything: PS3.5 10.1."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE, evt

from dicom_node.delivery.capabilities import SERVICES, probe, proposed
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.network.presentation_contexts import service_contexts
from tests.support.peers.pacs import DicomServer
from tests.unit.dicom_node.delivery.test_implicit_vr import sample, written

BOTH = pytest.mark.parametrize("fast", [True, False], ids=["fast", "stock"])
ONLY_IMPLICIT, ONLY_EXPLICIT = (ImplicitVRLittleEndian,), (ExplicitVRLittleEndian,)


def peer_at(port: int) -> Peer:
    return Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=5)


@BOTH
@pytest.mark.parametrize("kept", [ExplicitVRLittleEndian, RLELossless])
def test_objects_are_encoded_again(tmp_path: Path, fast: bool, kept: str) -> None:
    ds = sample()
    if kept == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    path = tmp_path / "one.dcm"
    path.write_bytes(written(ds))
    before = path.read_bytes()
    with StandInPacs(tmp_path / "pacs", syntaxes=ONLY_IMPLICIT) as pacs:
        outgoing = [OutgoingFile.of(path)] * 2
        sent = send(outgoing, peer_at(pacs.port), calling_ae="NODE", fast=fast)
        outcomes = [outcome.verdict for _, outcome in sent]

    assert outcomes == [Verdict.ACCEPTED] * 2
    (received,) = map(dcmread, pacs.files)
    assert received.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert (received.TextValue, received.PixelData) == (sample().TextValue, sample().PixelData)
    assert path.read_bytes() == before


@BOTH
@pytest.mark.parametrize("syntaxes", [ONLY_EXPLICIT, (ImplicitVRLittleEndian, *ONLY_EXPLICIT)])
def test_they_are_sent_as_they_are_where_that_is_taken(
    tmp_path: Path, fast: bool, syntaxes: tuple[str, ...]
) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(written(sample()))
    with StandInPacs(tmp_path / "pacs", syntaxes=syntaxes) as pacs:
        list(send([OutgoingFile.of(path)], peer_at(pacs.port), calling_ae="N", fast=fast))

    assert dcmread(pacs.files[0]).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


class Services(DicomServer):
    """A peer that takes every service, and nothing but one transfer syntax."""

    def __init__(self, syntax: str) -> None:
        self.syntax = syntax

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        for sop_class in proposed():
            ae.add_supported_context(sop_class, self.syntax)
        return [(evt.EVT_C_ECHO, lambda _: 0x0000)]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_every_service_is_proved_and_used_in_the_syntax_that_is_taken(syntax: str) -> None:
    with Services(syntax) as peer:
        found = probe(peer_at(peer.port), calling_ae="NODE")
        answered = echo(peer_at(peer.port), calling_ae="NODE")

    assert {capability.transfer_syntax_uid for capability in found} == {syntax}
    assert answered.verdict is Verdict.ACCEPTED


def test_each_context_has_one_syntax() -> None:
    contexts = service_contexts(*SERVICES)
    assert {len(context.transfer_syntax) for context in contexts} == {1}
    for sop_class in SERVICES:
        offered = [c.transfer_syntax[0] for c in contexts if c.abstract_syntax == sop_class]
        assert offered == [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
