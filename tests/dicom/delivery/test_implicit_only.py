"""Peers get everything in the transfer syntaxes that they take, at least the default: PS3.5 10."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
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


@BOTH
@pytest.mark.parametrize("kept", [DeflatedExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("taken", ["as kept", "plain", "not compressed by setting", "refused"])
def test_compressed_objects_arrive_in_what_is_taken(
    tmp_path: Path, fast: bool, kept: str, taken: str
) -> None:
    ds = sample(kept)
    if kept == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
    path = tmp_path / "one.dcm"
    path.write_bytes(written(ds))
    syntaxes = ONLY_EXPLICIT if taken == "plain" else (*ONLY_EXPLICIT, kept)
    answers = [0xC000, 0x0000] if taken == "refused" else [0x0000]
    with StandInPacs(tmp_path / "pacs", syntaxes=syntaxes, answer=answers.__getitem__) as pacs:
        outgoing = replace(OutgoingFile.of(path), as_kept=taken != "not compressed by setting")
        sent = list(send([outgoing], peer_at(pacs.port), calling_ae="NODE", fast=fast))

    assert [outcome.verdict for _, outcome in sent] == [Verdict.ACCEPTED]
    (received,) = map(dcmread, pacs.files)
    syntax = kept if taken == "as kept" else ExplicitVRLittleEndian
    assert received.file_meta.TransferSyntaxUID == syntax
    assert received.SOPInstanceUID == ds.SOPInstanceUID
    assert received.pixel_array.tobytes() == sample().PixelData


def test_the_probe_tells_in_which_syntax_each_class_is_taken(tmp_path: Path) -> None:
    taken = (*ONLY_EXPLICIT, JPEG2000Lossless)
    with StandInPacs(tmp_path / "pacs", syntaxes=taken) as pacs:
        found, plain = (
            {
                capability.sop_class_uid: capability.transfer_syntax_uid
                for capability in probe(
                    peer_at(pacs.port), calling_ae="NODE", compressed=compressed
                )
            }
            for compressed in (True, False)
        )

    assert found[SecondaryCaptureImageStorage] == JPEG2000Lossless
    assert found[SegmentationStorage] == ExplicitVRLittleEndian
    assert plain[SecondaryCaptureImageStorage] == ExplicitVRLittleEndian
