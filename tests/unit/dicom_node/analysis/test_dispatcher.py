"""Every way in which a task can end, and what the dispatcher makes of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import select

from dicom_node.analysis.dispatcher import NOTICE_TRIES
from dicom_node.analysis.worker.messages import Unchanged, Unsuitable
from dicom_node.errors import AnalysisFault, EngineAway, EngineLost
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.errors import ConformanceError, ModelError, OutOfMemory
from storage.database.schema import Series
from storage.database.sessions import Sessions
from storage.errors import StorageFull
from storage.files.folder import StorageFolder
from storage.maintenance.recovery import recover
from storage.overview import overview
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, receiving, ticket_of
from storage.series.rerun import mark_for_rerun, start_reruns
from storage.states import Rerun
from tests.support.databases import impatient_database, locked_database
from tests.support.dispatcher_samples import (
    NOW,
    RESULT,
    Job,
    Never,
    Workers,
    dispatcher,
    line,
    open_resources,
)

pytestmark = pytest.mark.database


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.1")
    return resources


NO_FILE = AnalysisFault("FileNotFoundError", "", of_the_data=False, of_the_worker=True)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def instance_bytes(uid: str, series: str, *, patient: str = "P") -> bytes:
    """A Part 10 file with as much as a notice needs."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "2.25.3", series, "CT"
    ds.PatientID, ds.SeriesNumber = patient, 4
    file = BytesIO()
    dcmwrite(file, ds, implicit_vr=False, little_endian=True)
    received = ReceivedInstance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid=uid,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="SCANNER",
        body=(),
    )
    return received.header + file.getvalue()


def arrive(resources: Resources, uid: str, series: str = "2.25.2", ae: str = "SCANNER") -> None:
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae=ae,
        path=f"incoming/00/{series}-{uid}.dcm",
        digest="0" * 64,
        bytes=1,
    )
    resources.folder.locate(facts.path).write_bytes(instance_bytes(uid, series))
    with resources.sessions.begin() as session:
        record_instance(session, facts, NOW)
        for quiet in receiving(session):
            close(session, quiet, NOW)


def test_results_are_kept_with_their_deliveries(resources: Resources) -> None:
    dispatcher(resources, Workers(RESULT)).dispatch()

    seen = line(resources)
    assert (seen.state, seen.score, seen.deliveries) == ("encoded", 0.7, {"pending": 2})
    assert resources.folder.locate("results/k1/0000-segmentation.dcm").read_bytes() == b"x"


HEATMAP = replace(RESULT.objects[0], kind="heatmap", sop_instance_uid="2.25.200")
WHOLE = replace(RESULT, objects=(*RESULT.objects, HEATMAP), occasion="2026-03-01T00:00:00+00:00 x")
FIRST = replace(WHOLE, objects=RESULT.objects)


def test_what_comes_first_is_kept_once_and_completed(resources: Resources) -> None:
    workers = Workers(WHOLE)
    workers.parts = [FIRST]
    woken: list[str] = []
    running = dispatcher(resources, workers)
    running.wake = lambda: woken.append(line(resources).state)

    running.dispatch()

    assert woken == ["analysing", "encoded"]
    assert line(resources).deliveries == {"pending": 3}
    kept = resources.folder.paths("results/k1/*.dcm") | resources.folder.paths("results/k1/*/*.dcm")
    assert kept == {
        "results/k1/0000-segmentation.dcm",
        "results/k1/0001-report.dcm",
        "results/k1/later/0002-heatmap.dcm",
    }


@pytest.mark.parametrize("lost", [EngineAway("gone"), StorageFull("full"), KeyError("odd")])
def test_what_comes_first_comes_with_the_rest_where_it_could_not_be_kept(
    resources: Resources, lost: Exception
) -> None:
    workers = Workers(WHOLE)
    workers.parts = [lost]
    dispatcher(resources, workers).dispatch()
    assert (line(resources).state, line(resources).deliveries) == ("encoded", {"pending": 3})


def test_an_attempt_that_broke_off_is_completed_by_the_next(resources: Resources) -> None:
    workers = Workers(EngineLost("the worker died"), WHOLE)
    workers.parts = [FIRST]
    running = dispatcher(resources, workers)
    running.dispatch()
    workers.parts = []
    running.dispatch()

    begun = workers.requests[1].begun
    assert begun is not None
    assert (begun.key, begun.draw, begun.revision) == ("k1", "x", 1)
    assert begun.kept == resources.folder.locate("results/k1/analysis.npz")
    assert workers.requests[1].earlier == ("",)
    assert (line(resources).state, line(resources).revision) == ("encoded", 1)
    assert line(resources).deliveries == {"pending": 3}


def test_a_notice_supersedes_what_the_same_attempt_has_begun(resources: Resources) -> None:
    workers = Workers(ConformanceError("the heatmap is wrong"))
    workers.parts = [FIRST]
    dispatcher(resources, workers).dispatch()

    (asked,) = workers.notice_requests
    assert line(resources).state == "failed"
    assert asked.series.predecessor is not None
    assert asked.series.predecessor.sop_instance_uid == FIRST.objects[1].sop_instance_uid


def test_an_unsuitable_series_says_why(resources: Resources) -> None:
    dispatcher(resources, Workers(Unsuitable(code="gap", text="3 slices missing"))).dispatch()

    assert (line(resources).state, line(resources).reason) == (
        "unsuitable",
        "gap: 3 slices missing",
    )


def test_a_notice_is_made_by_a_worker_and_delivered(resources: Resources) -> None:
    workers = Workers(Unsuitable(code="gap", text="3 slices missing"))
    dispatcher(resources, workers).dispatch()

    assert [(asked.code, len(asked.series.files)) for asked in workers.notice_requests] == [
        ("gap", 1)
    ]
    assert (line(resources).state, line(resources).deliveries) == ("unsuitable", {"pending": 1})


def test_a_notice_that_kills_workers_is_given_up(resources: Resources) -> None:
    workers = Workers(Unsuitable(code="gap", text="3 slices missing"))
    workers.notices = [EngineLost("the worker died")] * 9
    running = dispatcher(resources, workers)
    running.dispatch()

    assert len(workers.notice_requests) == NOTICE_TRIES
    assert (line(resources).state, line(resources).deliveries) == ("unsuitable", {})
    assert line(resources).reason == ("gap: 3 slices missing; notice not made: the worker died")
    assert running.wait_until_idle(seconds=0)


def test_a_notice_waits_for_a_worker_where_the_analysis_took_the_last(resources: Resources) -> None:
    """The one worker has died, its successor has not proved itself: nothing may be lost of it."""
    workers = Workers(EngineLost("its worker died"))
    workers.away_for_notices = True
    running = dispatcher(resources, workers, attempts=1)
    running.dispatch()
    assert (line(resources).state, workers.notice_requests) == ("analysing", [])

    workers.away_for_notices = False
    running.dispatch()

    assert (line(resources).state, line(resources).deliveries) == ("failed", {"pending": 1})
    assert running.wait_until_idle(seconds=0)


def test_a_worker_that_cannot_read_the_headers_leaves_the_notice_to_another(
    resources: Resources,
) -> None:
    workers = Workers(Unsuitable(code="gap", text="3 slices missing"))
    workers.notices = [NO_FILE]
    dispatcher(resources, workers).dispatch()

    assert (line(resources).state, line(resources).deliveries) == ("unsuitable", {"pending": 1})
    assert workers.faults == [("one", "FileNotFoundError")]


def test_a_notice_that_needs_a_second_worker_is_made(resources: Resources) -> None:
    workers = Workers(Unsuitable(code="gap", text="3 slices missing"))
    workers.notices = [EngineLost("the worker died")]
    dispatcher(resources, workers).dispatch()

    assert line(resources).reason == "gap: 3 slices missing"
    assert line(resources).deliveries == {"pending": 1}


def test_the_notice_of_a_mixed_series_is_of_those_filed_together(resources: Resources) -> None:
    """It goes to the patient and study of most instances, and refers to these alone."""
    for uid in ("2.25.12", "2.25.13"):
        arrive(resources, uid)
    other = resources.folder.locate("incoming/00/2.25.2-2.25.13.dcm")
    other.write_bytes(instance_bytes("2.25.13", "2.25.2", patient="Q"))
    dispatcher(resources, Workers(Unsuitable(code="gap", text="3 slices missing"))).dispatch()

    assert line(resources).reason == "gap: 3 slices missing"
    assert line(resources).deliveries == {"pending": 1}
    (path,) = resources.folder.root.glob("results/*/*.dcm")
    notice = dcmread(path)
    assert notice.PatientID != "Q"
    (study,) = notice.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    references = [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence]
    assert "2.25.13" not in references


@pytest.mark.parametrize("fault", [EngineLost("KilledWorker"), KeyError("x"), OSError("disk")])
def test_a_lost_task_is_tried_again_and_then_given_up(
    resources: Resources, fault: Exception
) -> None:
    workers = Workers(fault, fault, RESULT)
    dispatcher(resources, workers, attempts=3).dispatch()
    assert (line(resources).state, line(resources).attempts) == ("encoded", 3)


def test_what_fails_every_time_is_failed(resources: Resources) -> None:
    dispatcher(resources, Workers(*[EngineLost("KilledWorker")] * 9), attempts=2).dispatch()

    assert (line(resources).state, line(resources).attempts) == ("failed", 2)
    assert "2 attempts" in line(resources).reason


def test_what_the_data_raise_is_tried_twice_and_quotes_nothing(resources: Resources) -> None:
    fault = AnalysisFault("ValueError", "ValueError\n  source_slices.py:138", of_the_data=True)
    workers = Workers(*[fault] * 9)

    dispatcher(resources, workers, attempts=3).dispatch()

    assert (line(resources).state, len(workers.requests)) == ("failed", 2)
    assert line(resources).reason == "ValueError during each analysis; see the log"


def test_too_little_memory_is_tried_with_less_and_then_said(resources: Resources) -> None:
    workers = Workers(*[OutOfMemory("1 way: MemoryError")] * 9)
    dispatcher(resources, workers, attempts=2).dispatch()

    assert [request.attempt for request in workers.requests] == [1, 2]
    assert line(resources).state == "failed"
    assert line(resources).reason == "2 attempts: out of memory: 1 way: MemoryError"


def test_what_brings_the_node_down_is_not_tried_for_ever(resources: Resources) -> None:
    for _ in range(2):  # claimed, and then the node was killed
        dispatcher(resources, Workers(Never(None)), attempts=2).dispatch()
        with resources.sessions.begin() as session:
            recover(session, NOW)

    workers = Workers()
    dispatcher(resources, workers, attempts=2).dispatch()

    assert workers.requests == []
    assert len(workers.notice_requests) == 1
    assert line(resources).state == "failed"
    assert "none came to an end" in line(resources).reason


def test_what_brings_the_node_down_by_its_notice_ends_without(resources: Resources) -> None:
    for _ in range(3):  # the third time its notice was asked for
        workers = Workers(Never(None))
        workers.notices = [Never(None)]
        dispatcher(resources, workers, attempts=2).dispatch()
        with resources.sessions.begin() as session:
            recover(session, NOW)

    workers = Workers()
    dispatcher(resources, workers, attempts=2).dispatch()

    assert workers.notice_requests == []
    assert line(resources).state == "failed"
    assert "notice not made: the node itself went down" in line(resources).reason


def test_an_orderly_stop_is_no_try(resources: Resources) -> None:
    for _ in range(5):
        dispatcher(resources, Workers(Never(None)), attempts=2).dispatch()
        with resources.sessions.begin() as session:
            recover(session, NOW, counted=False)

    assert (line(resources).state, line(resources).attempts) == ("stable", 0)


def test_bad_weights_fail_at_once(resources: Resources) -> None:
    dispatcher(resources, Workers(ModelError("sha256 expected a, got b"))).dispatch()

    assert (line(resources).state, line(resources).attempts) == ("failed", 1)


def test_what_may_not_leave_fails_at_once(resources: Resources) -> None:
    dispatcher(resources, Workers(ConformanceError("StudyInstanceUID differs"))).dispatch()

    assert (line(resources).state, line(resources).attempts) == ("failed", 1)
    assert line(resources).reason == "outgoing check: StudyInstanceUID differs"


def test_what_finds_no_room_is_kept_when_there_is_room_again_and_computed_once(
    resources: Resources,
) -> None:
    room = 0
    full = replace(resources, folder=StorageFolder(resources.folder.root, 0, free=lambda _: room))
    workers = Workers(RESULT)
    running = dispatcher(full, workers)

    for _ in range(5):
        running.dispatch()
    assert (line(resources).state, line(resources).attempts) == ("analysing", 1)

    room = 2**30
    running.dispatch()
    assert (line(resources).state, line(resources).attempts) == ("encoded", 1)
    assert len(workers.requests) == 1


def test_no_more_is_computed_while_a_result_finds_no_room(resources: Resources) -> None:
    arrive(resources, "2.25.11", series="2.25.12")
    full = replace(resources, folder=StorageFolder(resources.folder.root, 0, free=lambda _: 0))
    workers = Workers(RESULT)

    running = dispatcher(full, workers)
    running.dispatch()
    running.dispatch()

    assert len(workers.requests) == 1


def test_what_finds_the_database_locked_is_entered_later(resources: Resources) -> None:
    impatient = impatient_database(resources.folder.root)
    job = Never(Unsuitable(code="gap", text="3 slices missing"))
    running = dispatcher(
        replace(resources, sessions=Sessions(impatient, substitutes=SUBSTITUTES)), Workers(job)
    )
    running.dispatch()
    with resources.sessions() as session:
        ticket = ticket_of(session, session.scalars(select(Series)).one())

    with locked_database(resources.folder.root):
        running.settle(ticket, job)
    assert line(resources).state == "analysing"

    running.dispatch()
    assert (line(resources).state, line(resources).reason) == (
        "unsuitable",
        "gap: 3 slices missing",
    )


@pytest.mark.parametrize("uid", ["2.25.9", "2.25.2"])
def test_an_own_result_come_back_is_not_analysed(resources: Resources, uid: str) -> None:
    """By its series, or by an instance that came in another."""
    running = dispatcher(resources, Workers(RESULT))
    running.dispatch()
    workers = Workers()
    arrive(resources, "2.25.101" if uid == "2.25.2" else "2.25.77", series=uid)

    dispatcher(resources, workers).dispatch()

    with resources.sessions() as session:
        states = {each.series_instance_uid: each.reason for each in overview(session).series}
    assert workers.requests == []
    assert states[uid] == "own-result: The series is a result of this node."


def test_nothing_is_made_twice_when_nothing_has_changed(resources: Resources) -> None:
    dispatcher(resources, Workers(RESULT)).dispatch()
    with resources.sessions.begin() as session:
        mark_for_rerun(session, "2.25.2", Rerun.REPROCESS)
        start_reruns(session, NOW)

    dispatcher(resources, Workers(Unchanged())).dispatch()

    seen = line(resources)
    assert (seen.state, seen.revision, seen.wish, seen.deliveries) == (
        "encoded",
        1,
        None,
        {"pending": 2},
    )


def test_a_task_that_hangs_is_ended_and_no_other(resources: Resources) -> None:
    arrive(resources, "2.25.11", series="2.25.12")
    hanging, queued = Never(None), Never(None)
    queued.started_at = None  # it waits behind the tasks of another node
    workers = Workers(hanging, queued)
    workers.slots = 2
    running = dispatcher(resources, workers, timeout=0)
    running.dispatch()
    assert workers.ended == []

    running.dispatch()

    assert workers.ended == [hanging]


def test_nothing_is_claimed_while_the_engine_is_away(resources: Resources) -> None:
    workers = Workers(RESULT)
    workers.slots = 0
    running = dispatcher(resources, workers)
    running.dispatch()
    assert (line(resources).state, line(resources).attempts) == ("stable", 0)

    workers.slots = 1
    running.dispatch()

    assert line(resources).state == "encoded"


def test_a_loss_of_the_engine_is_no_attempt(resources: Resources) -> None:
    later = Clock()
    workers = Workers(*[EngineAway("the scheduler is gone")] * 5, RESULT)
    running = dispatcher(replace(resources, clock=later), workers, attempts=2)
    for _ in range(6):
        running.dispatch()
        later.forward(60)

    assert (line(resources).state, line(resources).attempts) == ("encoded", 1)
    assert workers.faults == []


def test_a_worker_that_cannot_read_the_files_does_not_fail_the_series(
    resources: Resources,
) -> None:
    """The black hole: a worker that is installed wrongly is the fastest of all."""
    later = Clock()
    workers = Workers(NO_FILE, RESULT, fit=frozenset({"one", "other"}))
    running = dispatcher(replace(resources, clock=later), workers, attempts=1)
    running.dispatch()
    assert line(resources).state == "stable"
    later.forward(60)

    running.dispatch()

    assert (line(resources).state, line(resources).attempts) == ("encoded", 1)
    assert workers.avoided == [frozenset(), frozenset({"one"})]
    assert [worker for worker, _ in workers.faults] == ["one"]


def test_what_no_worker_can_read_is_the_fault_of_the_series(resources: Resources) -> None:
    later = Clock()
    other = Job(NO_FILE)
    other.worker = "other"
    workers = Workers(NO_FILE, other, fit=frozenset({"one", "other"}))
    running = dispatcher(replace(resources, clock=later), workers, attempts=1)

    running.dispatch()
    later.forward(60)
    running.dispatch()

    assert line(resources).state == "failed"
    assert "FileNotFoundError" in line(resources).reason


def test_an_attempt_that_failed_waits_before_the_next(resources: Resources) -> None:
    later = Clock()
    workers = Workers(KeyError("x"), KeyError("x"), RESULT)
    running = dispatcher(replace(resources, clock=later), workers, wait=10)

    tries = []
    for _ in range(40):
        running.dispatch()
        tries.append(len(workers.requests))
        later.forward(1)

    assert [tries.index(count) for count in (1, 2, 3)] == [0, 10, 30]


def test_urgent_series_and_reruns_have_their_priority_in_the_engine(resources: Resources) -> None:
    workers = Workers(RESULT, Unsuitable(code="x", text="y"), Unchanged())
    running = dispatcher(resources, workers, urgent_aes=frozenset({"STROKE"}))
    running.dispatch()
    arrive(resources, "2.25.11", series="2.25.12", ae="STROKE")
    running.dispatch()
    with resources.sessions.begin() as session:
        mark_for_rerun(session, "2.25.2", Rerun.REPROCESS)
        start_reruns(session, NOW)
    running.dispatch()

    assert workers.priorities == [0, 1, -1]


def test_a_result_that_came_too_late_changes_nothing(resources: Resources) -> None:
    running = dispatcher(resources, Workers())
    with resources.sessions.begin() as session:
        ticket = claim_next(session, NOW)
        assert ticket is not None
    with resources.sessions.begin() as session:
        recover(session, NOW)  # the claim was given back meanwhile

    running.settle(ticket, Job(RESULT))

    assert (line(resources).state, line(resources).score) == ("stable", None)
    assert running.wait_until_idle(seconds=0)


def test_a_late_instance_supersedes_and_names_its_predecessor(resources: Resources) -> None:
    workers = Workers(RESULT, Unsuitable(code="x", text="y"))
    running = dispatcher(resources, workers)
    running.dispatch()
    arrive(resources, "2.25.7")

    running.dispatch()

    first, second = workers.requests
    assert first.predecessor is None
    assert (second.revision, second.earlier, len(second.files)) == (2, ("i1",), 2)
    assert second.predecessor is not None
    assert second.predecessor.sop_instance_uid == "2.25.101"


def claimed(resources: Resources) -> SeriesTicket:
    """The ticket of the only series, which is being analysed."""
    with resources.sessions() as session:
        return ticket_of(session, session.scalars(select(Series)).one())


def test_a_storage_folder_that_is_away_is_no_fault_of_a_series(resources: Resources) -> None:
    later, station = Clock(), resources.folder.locate("station")
    elsewhere = station.with_name("elsewhere")
    away = Never(NO_FILE)
    workers = Workers(away, RESULT)
    running = dispatcher(replace(resources, clock=later), workers, attempts=1)
    running.dispatch()
    station.rename(elsewhere)

    running.settle(claimed(resources), away)  # a worker found no file

    assert (line(resources).state, line(resources).deliveries) == ("stable", {})
    assert "is it mounted?" in line(resources).reason
    assert workers.faults == []
    later.forward(60)
    running.dispatch()
    assert len(workers.requests) == 1

    elsewhere.rename(station)
    running.dispatch()
    assert (line(resources).state, line(resources).attempts) == ("encoded", 1)


def test_results_that_cannot_be_written_are_held_and_named(resources: Resources) -> None:
    """A disk that became read-only, or rights that changed: computing again would not help."""
    results = resources.folder.locate("results")
    elsewhere, task = results.with_name("elsewhere"), Never(RESULT)
    running = dispatcher(resources, Workers(task), attempts=1)
    running.dispatch()
    results.rename(elsewhere)
    results.touch()

    running.settle(claimed(resources), task)

    assert line(resources).state == "analysing"
    (fault,) = resources.health.snapshot()
    assert fault.part == "results"
    assert "cannot be written" in fault.reason
    results.unlink()
    elsewhere.rename(results)
    running.dispatch()
    assert line(resources).state == "encoded"
    assert resources.health.snapshot() == ()
