"""A first result is compared with an earlier study fetched from Orthanc."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.states import SeriesState
from tests.acceptance.support.orthanc import (
    SECONDS,
    Orthanc,
    modalities,
    objects,
    poll,
    push,
    upload,
)
from tests.support.node_process import NodeProcess

BEFORE = "2025-01-01"
pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


@pytest.fixture
def node(
    orthanc: Orthanc, node_port: int, make_node: Callable[..., NodeProcess]
) -> Iterator[NodeProcess]:
    running = make_node(orthanc.dicom_port, port=node_port, quiet=3)
    ini = running.ini.read_text().replace("ae_title = PACS", "ae_title = ORTHANC")
    running.ini.write_text(ini + "earlier_studies = yes\n")
    running.start()
    yield running
    assert running.stop() == 0, running.log()


def chest_of(date: str, seed: int, folder: Path) -> Path:
    phantom = make_phantom(PhantomSpec(seed=seed, slices=60, size=128, spacing_mm=5, lesions=4))
    datasets = phantom_datasets(phantom, seed=seed)
    for ds in datasets:
        ds.PatientID, ds.PatientName, ds.StudyDate = "PHANTOM", "Phantom^Twice", date
        ds.PatientBirthDate = "19600101"
    write_series(datasets, folder)
    return folder


def reports_of(orthanc: Orthanc, study_uid: str) -> list[Dataset]:
    """The reports of a study."""
    return [ds for one in modalities(orthanc, study_uid)["SR"] for ds in objects(orthanc, one)]


def test_the_archive_is_asked_and_the_results_come_again(
    orthanc: Orthanc, node: NodeProcess, tmp_path: Path
) -> None:
    before = upload(orthanc, chest_of("20250101", 1, tmp_path / "before"))
    now = upload(orthanc, chest_of("20260101", 2, tmp_path / "now"))
    push(orthanc, now)

    def compared() -> bool:
        lines = node.overview().series
        again = any(line.revision == 2 and line.priors == 1 for line in lines)
        return again and {line.state for line in lines} == {SeriesState.DELIVERED}

    poll(compared, seconds=2 * SECONDS, what=f"comparison\n{node.log()}")

    assert len(node.states()) == 2
    assert len(reports_of(orthanc, before)) == 2
    reports = reports_of(orthanc, now)
    assert len(reports) == 4
    compared_ones = [ds for ds in reports if BEFORE in ds.to_json()]
    assert len(compared_ones) == 2
    assert any("PredecessorDocumentsSequence" in ds for ds in compared_ones)
