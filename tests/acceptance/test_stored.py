"""Orthanc stores every kind of result and returns it unchanged; refusals are reported."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer
from pipeline.encode.result.kinds import ResultKind
from tests.acceptance.support.orthanc import Orthanc, running_orthanc
from tests.acceptance.support.samples import Written, encoded

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def sent(written: Written, pacs: Orthanc) -> dict[ResultKind, Outcome]:
    """Outcome of the last object of each kind."""
    kinds = {path: kind for kind, path in written.results}
    peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=pacs.dicom_port)
    files = [OutgoingFile.of(path) for path in kinds]
    return {kinds[file.path]: outcome for file, outcome in send(files, peer, calling_ae="AINODE")}


def given_back(pacs: Orthanc) -> dict[str, Dataset]:
    files = [pacs.file(f"/instances/{instance}/file") for instance in pacs.get("/instances")]
    datasets = [dcmread(io.BytesIO(file)) for file in files]
    return {str(dataset.SOPInstanceUID): dataset for dataset in datasets}


@pytest.mark.parametrize("name", ["everything", "other forms", "label map"])
def test_every_kind_is_stored_and_given_back_unchanged(tmp_path: Path, name: str) -> None:
    written = encoded(name, tmp_path)
    with running_orthanc(tmp_path, UnknownSopClassAccepted=True) as pacs:
        outcomes = sent(written, pacs)
        back = given_back(pacs)

    assert {kind: outcome.verdict for kind, outcome in outcomes.items()} == dict.fromkeys(
        ResultKind, Verdict.ACCEPTED
    )
    assert len(back) == len(written.results)
    for _, path in written.results:
        original = dcmread(path)
        assert back[str(original.SOPInstanceUID)] == original


def test_a_class_that_is_refused_leaves_the_others_alone(tmp_path: Path) -> None:
    """By its defaults this version takes no Label Map Segmentation."""
    written = encoded("label map", tmp_path)
    with running_orthanc(tmp_path, UnknownSopClassAccepted=False) as pacs:
        outcomes = sent(written, pacs)

    verdicts = {kind: outcome.verdict for kind, outcome in outcomes.items()}
    refused = {kind for kind, verdict in verdicts.items() if verdict is not Verdict.ACCEPTED}
    assert refused == {ResultKind.SEGMENTATION}
    assert verdicts[ResultKind.SEGMENTATION] is Verdict.UNSUPPORTED
