"""Capabilities of a destination: probed, recorded, shown, and substituted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import app
from dicom_node.delivery.capabilities import instead, probe, proposed
from dicom_node.delivery.result_classes import RESULT_CLASSES
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.errors import NodeError
from dicom_node.network.association import Peer
from pipeline.encode.result.kinds import LABEL_MAP_STORAGE
from storage.database.engine import opened, revision_of
from storage.database.revisions import downgrade, newest
from storage.delivery.capabilities import capabilities
from storage.errors import DatabaseUnusable

pytestmark = pytest.mark.database

VERIFICATION = "1.2.840.10008.1.1"


def ini(folder: Path, port: int) -> Path:
    path = folder / "node.ini"
    path.write_text(
        f"[storage]\nfolder = data\n[destination PACS]\nae_title = PACS\nhost = 127.0.0.1\n"
        f"port = {port}\ntimeout_seconds = 5\n"
    )
    return path


def test_everything_is_proposed_and_what_is_taken_is_told(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", accepts=(EnhancedSRStorage, SegmentationStorage)) as pacs:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
        found = probe(peer, calling_ae="NODE")
        assert pacs.received == []

    classes = [capability.sop_class_uid for capability in found]
    assert classes == proposed()
    assert {sent.sop_class for sent in RESULT_CLASSES} < set(classes)
    taken = {
        capability.sop_class_uid: capability.transfer_syntax_uid
        for capability in found
        if capability.is_accepted
    }
    assert set(taken) == {EnhancedSRStorage, SegmentationStorage, VERIFICATION}
    assert taken.pop(VERIFICATION) == ImplicitVRLittleEndian  # as it is used
    assert set(taken.values()) == {str(ExplicitVRLittleEndian)}


def test_one_that_takes_nothing_is_no_fault(tmp_path: Path) -> None:
    pacs = StandInPacs(tmp_path / "pacs", accepts=("1.2.840.10008.5.1.4.1.1.2",))
    pacs._ae.remove_supported_context(VERIFICATION)  # the peer's own setting
    with pacs:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
        assert not any(capability.is_accepted for capability in probe(peer, calling_ae="NODE"))


def test_one_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        gone = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
    with pytest.raises(NodeError, match="cannot be reached"):
        probe(gone, calling_ae="NODE")


def test_the_command_shows_and_keeps_it(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", accepts=(SecondaryCaptureImageStorage,)) as pacs:
        path = ini(tmp_path, pacs.port)
        open_resources(load(path)).close()
        for _ in range(2):
            done = CliRunner().invoke(app, ["probe", "PACS", "-c", str(path)], terminal_width=200)
            assert done.exit_code == 0, done.output

    assert "Comprehensive" in done.output
    assert "summary" in done.output
    resources = open_resources(load(path))
    with resources.sessions() as session:
        kept = capabilities(session, "PACS")
    accepted = {capability.sop_class_uid for capability in kept if capability.is_accepted}
    assert accepted == {SecondaryCaptureImageStorage, VERIFICATION}
    assert len(kept) == len(proposed())


def test_the_command_neither_makes_a_database_nor_changes_an_older_one(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", accepts=(SecondaryCaptureImageStorage,)) as pacs:
        path = ini(tmp_path, pacs.port)
        command = ["probe", "PACS", "-c", str(path)]
        asked = CliRunner().invoke(app, command)
        assert asked.exit_code == 0, asked.output
        assert not load(path).storage.folder.exists()

        open_resources(load(path)).close()
        older = f"{int(newest()) - 1:04d}"
        with opened(load(path).database_url) as database:
            downgrade(database, older)
            refused = CliRunner().invoke(app, command)
            assert isinstance(refused.exception, DatabaseUnusable)
            assert revision_of(database) == older


@pytest.mark.parametrize(
    ("kind", "sop_class", "accepted", "expected"),
    [
        ("report", Comprehensive3DSRStorage, {EnhancedSRStorage}, "the text report"),
        ("report", Comprehensive3DSRStorage, {SecondaryCaptureImageStorage}, "the summary"),
        (
            "segmentation",
            SegmentationStorage,
            {Comprehensive3DSRStorage},
            "nothing: the series fails",
        ),
        ("segmentation", LABEL_MAP_STORAGE, {SegmentationStorage}, "the binary segmentation"),
        ("segmentation", LABEL_MAP_STORAGE, {SecondaryCaptureImageStorage}, "the heatmap"),
    ],
)
def test_it_says_what_goes_instead(
    kind: str, sop_class: str, accepted: set[str], expected: str
) -> None:
    assert instead(kind, sop_class, accepted) == expected
