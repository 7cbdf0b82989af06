"""The job finds scanners that have changed, and says so until somebody accepts it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from dicom_node.drift.job import DriftJob, DriftRules, part_of
from dicom_node.drift.record import (
    figures_of,
    figures_of_refusal,
    record_figures,
    record_news,
)
from dicom_node.resources import Resources
from storage.database.watch_tables import SeriesEquipment
from storage.results.drift import accept, equipment_of, open_findings
from storage.series.instance_facts import EquipmentFacts, InstanceFacts
from storage.series.instances import record_instance
from tests.support.dispatcher_samples import NOW
from tests.support.reception import open_resources

RULES = DriftRules(action="tell", reference=60)
CT1 = EquipmentFacts(manufacturer="Maker", model="One", station="CT1", kernel="B70f")
READ = EquipmentFacts(manufacturer="read")


def read(path: Path) -> EquipmentFacts:
    if not path.name:
        raise ValueError("no image")
    return READ


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


@pytest.fixture
def job(resources: Resources) -> DriftJob:
    return DriftJob(resources=resources, rules=RULES, read_equipment=read)


def series(
    resources: Resources, number: int, noise: float, said: EquipmentFacts = CT1
) -> list[str]:
    """Receive a series, and enter its outcome; return what was new."""
    uid = f"9.{number}"
    facts = InstanceFacts(
        sop_instance_uid=f"{uid}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=uid,
        study_instance_uid=f"{uid}.8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{uid}",
        digest="a",
        bytes=3,
        equipment=said,
    )
    with resources.sessions.begin() as session:
        record_instance(session, facts, NOW)
        news = record_news(session, uid, "tell", NOW)
        record_figures(session, uid, {"noise_hu": noise}, NOW)
    return [one.text for one in news]


def test_a_new_scanner_and_a_new_kernel_are_told_at_their_first_series(
    resources: Resources, job: DriftJob
) -> None:
    assert series(resources, 1, 10) == ["new scanner: Maker One CT1"]
    assert series(resources, 2, 10) == []
    assert series(resources, 3, 10, replace(CT1, kernel="B31f")) == ["new kernel: B31f"]

    job.run_once()

    (fault,) = resources.health.snapshot()
    assert fault.part == part_of(CT1.scanner)
    assert fault.reason == ("new scanner: Maker One CT1; new kernel: B31f: dicom-node drift accept")


def test_a_figure_that_drifts_is_a_fault_until_it_is_accepted(
    resources: Resources, job: DriftJob
) -> None:
    for number in range(120):
        series(resources, number, 10 + number % 7 + (50 if number >= 60 else 0))
    with resources.sessions.begin() as session:
        accept_news = [one.what for one in open_findings(session)]
    assert accept_news == ["new scanner: Maker One CT1"]

    job.run_once()

    (fault,) = resources.health.snapshot()
    assert "noise, HU: 13 before, " in fault.reason
    with resources.sessions.begin() as session:
        assert accept(session, CT1.scanner, "somebody", NOW) == 2
    job.run_once()
    assert resources.health.snapshot() == ()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("hold", "its results are not delivered until that is accepted"),
        ("stop", "its series are not analysed until that is accepted"),
    ],
)
def test_the_fault_says_what_is_done_meanwhile(
    resources: Resources, job: DriftJob, action: str, words: str
) -> None:
    series(resources, 1, 10)
    job.take(replace(RULES, action=action))

    job.run_once()

    (fault,) = resources.health.snapshot()
    assert words in fault.reason


def test_where_it_is_only_noted_there_is_no_fault(resources: Resources, job: DriftJob) -> None:
    series(resources, 1, 10)
    job.run_once()
    job.take(replace(RULES, action="note"))

    job.run_once()

    assert resources.health.snapshot() == ()
    with resources.sessions.reading() as session:
        assert [one.action for one in open_findings(session)] == ["note"]


def test_what_made_older_series_is_read_from_their_files(
    resources: Resources, job: DriftJob
) -> None:
    series(resources, 1, 10)
    with resources.sessions.begin() as session:
        session.execute(delete(SeriesEquipment))

    job.run_once()

    with resources.sessions.reading() as session:
        assert equipment_of(session, "9.1") == READ


def test_figures_are_taken_from_the_summary_of_an_analysis_and_from_a_refusal() -> None:
    summary = {
        "figures": {"noise_hu": 12.0, "air_hu": None},
        "lungs_ml": {"total": 4000.0},
        "score": 0.25,
        "flags": ["noisy"],
    }

    assert figures_of(summary) == {
        "noise_hu": 12.0,
        "air_hu": None,
        "lungs_ml": 4000.0,
        "score": 0.25,
        "flagged": 1.0,
        "refused": 0.0,
    }
    assert figures_of({"score": 0.5})["flagged"] == 0.0
    assert figures_of_refusal("too-few-slices: 3") == {"refused": 1.0}
    assert figures_of_refusal("own-result: The series is a result of this node.") == {}
