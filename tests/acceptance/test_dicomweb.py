"""Orthanc's DICOMweb plugin stores every kind of result, and finds it by query."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.delivery.commitment.query import stored_objects
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.stow_sender import StowSender
from dicom_node.network.association import Peer
from tests.acceptance.support.orthanc import Orthanc, running_orthanc
from tests.acceptance.support.samples import Written, encoded

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    if not PLUGIN.exists():
        pytest.skip(f"not installed: {PLUGIN} (deploy/install-acceptance.sh)")
    settings = {
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomAlwaysAllowFind": True,
    }
    with running_orthanc(tmp_path, **settings) as running:
        yield running


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return encoded("everything", tmp_path)


def outgoing(written: Written) -> list[OutgoingFile]:
    return [OutgoingFile.of(path) for _, path in written.results]


def test_every_kind_is_stored_unchanged_and_may_come_again(pacs: Orthanc, written: Written) -> None:
    web = StowSender(url=f"{pacs.rest}/dicom-web", timeout_seconds=30)
    assert web.echo().verdict is Verdict.ACCEPTED

    for _ in range(2):
        outcomes = [outcome for _, outcome in web.send(outgoing(written))]
        assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}, outcomes

    files = [pacs.file(f"/instances/{instance}/file") for instance in pacs.get("/instances")]
    back = {ds.SOPInstanceUID: ds for ds in (dcmread(io.BytesIO(file)) for file in files)}
    assert len(back) == len(written.results)
    for _, path in written.results:
        original = dcmread(path)
        assert back[original.SOPInstanceUID] == original


def test_another_address_of_it_is_no_destination(pacs: Orthanc, written: Written) -> None:
    elsewhere = StowSender(url=f"{pacs.rest}/no-such-service", timeout_seconds=30)

    assert elsewhere.echo().verdict is Verdict.REFUSED
    ((_, outcome),) = elsewhere.send(outgoing(written)[:1])
    assert outcome.verdict is Verdict.POSTPONED


def test_a_query_finds_what_is_there_and_misses_what_is_not(
    pacs: Orthanc, written: Written
) -> None:
    """Verification by query."""
    first, *others = outgoing(written)
    web = StowSender(url=f"{pacs.rest}/dicom-web", timeout_seconds=30)
    assert all(outcome.verdict is Verdict.ACCEPTED for _, outcome in web.send(others))
    peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=pacs.dicom_port)

    datasets = [dcmread(file.path, stop_before_pixels=True) for file in (first, *others)]
    places: dict[tuple[str, str], set[str]] = {}
    for ds in datasets:
        key = (str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID))
        places.setdefault(key, set()).add(str(ds.SOPInstanceUID))
    held = stored_objects(places, peer, calling_ae="AINODE")

    assert held == {str(ds.SOPInstanceUID) for ds in datasets[1:]}
