"""The job finds scanners that have changed, and says so until somebody accepts it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.drift.job import PART, DriftJob, DriftRules, fault_of
from dicom_node.drift.record import (
    record_news,
    record_sample,
    sample_of,
    sample_of_refusal,
)
from dicom_node.resources import Resources
from storage.database.watch_tables import SeriesEquipment
from storage.delivery.notices import Ending
from storage.results.drift import (
    Finding,
    Sample,
    accept,
    equipment_of,
    has_samples,
    open_findings,
    series_without_equipment,
)
from storage.series.instance_facts import EquipmentFacts, InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from storage.states import SeriesState
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


def facts_of(uid: str, said: EquipmentFacts) -> InstanceFacts:
    return InstanceFacts(
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


def series(
    resources: Resources,
    number: int,
    noise: float | None = None,
    said: EquipmentFacts = CT1,
    action: str = "tell",
) -> list[str]:
    """Receive a series, and enter its outcome, unless it failed; return what was new."""
    uid = f"9.{number}"
    with resources.sessions.begin() as session:
        record_instance(session, facts_of(uid, said), NOW)
        news = record_news(session, uid, action, NOW)
        if noise is not None:
            record_sample(session, uid, Sample(figures={"noise_hu": noise}), NOW)
    return [one.text for one in news]


def test_a_new_scanner_and_a_new_kernel_are_told_at_their_first_series(
    resources: Resources, job: DriftJob
) -> None:
    assert series(resources, 1, 10) == ["new scanner: Maker One CT1"]
    assert series(resources, 2, 10) == []
    assert series(resources, 3, 10, replace(CT1, kernel="B31f")) == ["new kernel: B31f"]

    job.run_once()

    (fault,) = resources.health.snapshot()
    assert fault.part == PART
    assert fault.reason == (
        "Maker One CT1: new scanner: Maker One CT1; new kernel: B31f: dicom-node drift accept"
    )


def test_a_new_scanner_is_told_of_though_its_first_series_failed(resources: Resources) -> None:
    assert series(resources, 1) == ["new scanner: Maker One CT1"]
    assert series(resources, 2, 10) == []
    with resources.sessions.begin() as session:
        accept(session, CT1.scanner, "somebody", NOW)
    assert series(resources, 3, 10) == []


def test_a_failure_enters_what_is_new_and_no_figures(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        record_instance(session, facts_of("9.1", CT1), NOW)
        close(session, receiving(session)[0], NOW)
        ticket = claim_next(session, NOW)
    assert ticket is not None

    failed = Ending(state=SeriesState.FAILED, reason="3 attempts")
    OutcomeWriter(resources, [], "hold").end(ticket, failed)

    with resources.sessions.reading() as session:
        (found,) = open_findings(session)
        assert (found.text, found.action) == ("new scanner: Maker One CT1", "hold")
        assert not has_samples(session, CT1.scanner)


def test_a_series_that_merely_arrived_makes_no_scanner_known(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        record_instance(session, facts_of("9.1", CT1), NOW)

    assert series(resources, 2, 10) == ["new scanner: Maker One CT1"]


def test_nothing_is_new_while_it_is_not_known_what_made_older_series(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        record_instance(session, facts_of("9.1", CT1), NOW)
        session.execute(delete(SeriesEquipment))

    assert series(resources, 2, 10) == []


def test_while_the_storage_folder_is_away_nothing_is_said_of_what_is_in_it(
    resources: Resources, job: DriftJob
) -> None:
    with resources.sessions.begin() as session:
        record_instance(session, facts_of("9.1", CT1), NOW)
        session.execute(delete(SeriesEquipment))
    results = resources.folder.root / "results"
    results.rmdir()

    job.run_once()

    with resources.sessions.reading() as session:
        assert series_without_equipment(session, 9) != []
    results.mkdir()
    job.run_once()
    with resources.sessions.reading() as session:
        assert equipment_of(session, "9.1") == READ


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
    series(resources, 1, 10, action=action)

    job.run_once()

    (fault,) = resources.health.snapshot()
    assert words in fault.reason


def test_what_was_noted_is_no_fault_and_stays_so_whatever_is_set_later(
    resources: Resources, job: DriftJob
) -> None:
    series(resources, 1, 10, action="note")
    job.run_once()
    assert resources.health.snapshot() == ()
    job.take(replace(RULES, action="stop"))

    job.run_once()

    assert resources.health.snapshot() == ()
    with resources.sessions.reading() as session:
        assert [one.action for one in open_findings(session)] == ["note"]


def test_of_many_scanners_the_first_are_named() -> None:
    found = [
        Finding(id=n, scanner=f"CT{n % 9}", what="w", text=f"t{n}", at=NOW, action="tell")
        for n in range(45)
    ]

    said = fault_of(found)

    assert said.startswith("CT0: t0; t9; t18, and 2 further changes. CT1: t1; ")
    assert "CT3" not in said
    assert said.endswith(", and 6 further scanners: dicom-node drift accept")


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

    assert sample_of(summary).figures == {
        "noise_hu": 12.0,
        "air_hu": None,
        "lungs_ml": 4000.0,
        "score": 0.25,
        "flagged": 1.0,
        "refused": 0.0,
    }
    assert sample_of({"score": 0.5}).figures["flagged"] == 0.0
    assert sample_of_refusal("too-few-slices: 3") == Sample(figures={"refused": 1.0})
    assert sample_of_refusal("own-result: The series is a result of this node.") is None


def test_another_model_or_threshold_is_another_basis() -> None:
    def basis(model: str, threshold: str) -> str:
        parameters = {"threshold": threshold}
        return sample_of({"provenance": {"manifest_sha256": model, "parameters": parameters}}).basis

    assert basis("a", "0.5") == basis("a", "0.5")
    assert len({basis("a", "0.5"), basis("b", "0.5"), basis("a", "0.4")}) == 3
