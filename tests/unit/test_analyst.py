"""What the analyst makes of every way a task can end."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from dicom_node.analyst import Analyst, Patience
from dicom_node.briefing import Briefing
from dicom_node.equipment import analyser_of
from dicom_node.errors import EngineLost
from dicom_node.notices import Notices
from dicom_node.request import Analysed, EncodedObject, Request, Unsuitable
from dicom_node.store import Store
from pipeline.errors import ModelError
from storage.database import migrate, open_database
from storage.files import Inbox
from storage.instances import InstanceFacts, note_instance
from storage.overview import SeriesLine, overview
from storage.recovery import recover
from storage.series import claim_next, close, receiving

NOW = datetime(2026, 3, 1, tzinfo=UTC)

RESULT = Analysed(
    key="k1",
    score=0.7,
    positive=True,
    model="m 1",
    summary={},
    objects=tuple(
        EncodedObject(
            kind=kind,
            sop_class_uid=sop_class,
            sop_instance_uid=f"2.25.10{n}",
            series_instance_uid="2.25.9",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            part10=b"x",
        )
        for n, (kind, sop_class) in enumerate(
            [
                ("segmentation", "1.2.840.10008.5.1.4.1.1.66.4"),
                ("report", "1.2.840.10008.5.1.4.1.1.88.34"),
            ]
        )
    ),
    seconds={},
)


class Job:
    """A task that has ended, one way or another."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # any answer
        self.answer = answer

    def when_done(self, act: Callable[["Job"], None]) -> None:
        act(self)

    def result(self) -> Any:  # noqa: ANN401  # any answer
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Never(Job):
    """A task that hangs."""

    def when_done(self, act: Callable[[Job], None]) -> None:
        pass


class Workers:
    """One worker that gives these answers, one after the other."""

    slots = 1

    def __init__(self, *answers: Any) -> None:  # noqa: ANN401  # any answer
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.restarts = 0

    def submit(self, function: object, request: Request) -> Job:
        self.requests.append(request)
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Job) else Job(answer)

    def restart(self) -> None:
        self.restarts += 1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    database = open_database(f"sqlite:///{tmp_path / 'node.sqlite'}")
    migrate(database)
    store = Store(
        sessions=sessionmaker(database, class_=Session),
        inbox=Inbox(tmp_path, 0),
        clock=lambda: NOW,
    )
    arrive(store, "2.25.1")
    return store


def arrive(store: Store, uid: str) -> None:
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="2.25.2",
        study_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="SCANNER",
        path=f"incoming/00/{uid}.dcm",
        digest="0" * 64,
        bytes=1,
    )
    with store.sessions.begin() as session:
        note_instance(session, facts, NOW)
        for series in receiving(session):
            close(session, series, NOW)


def analyst(store: Store, workers: Workers, *, attempts: int = 3, timeout: float = 900) -> Analyst:
    made: Analyst

    def settle(ticket: Any, job: Any) -> None:  # noqa: ANN401  # any answer
        made.settle(ticket, job)

    briefing = Briefing(store, analyser_of(Settings()), compare=True)
    made = Analyst(
        workers=workers,  # type: ignore[arg-type]  # a small fake
        briefing=briefing,
        notices=Notices(briefing, "relevant"),
        patience=Patience(attempts=attempts, task_timeout_seconds=timeout),
        destinations=["PACS"],
        when_done=settle,
    )
    return made


def line(store: Store) -> SeriesLine:
    with store.sessions() as session:
        (series,) = overview(session).series
    return series


def test_results_are_kept_with_their_deliveries(store: Store) -> None:
    analyst(store, Workers(RESULT)).dispatch()

    seen = line(store)
    assert (seen.state, seen.score, seen.deliveries) == ("encoded", 0.7, {"pending": 2})
    assert store.inbox.locate("results/k1/0000-segmentation.dcm").read_bytes() == b"x"


def test_an_unsuitable_series_says_why(store: Store) -> None:
    analyst(store, Workers(Unsuitable(code="gap", text="3 slices missing"))).dispatch()

    assert (line(store).state, line(store).reason) == ("unsuitable", "gap: 3 slices missing")


@pytest.mark.parametrize("fault", [EngineLost("KilledWorker"), KeyError("x"), OSError("disk")])
def test_a_lost_task_is_tried_again_and_then_given_up(store: Store, fault: Exception) -> None:
    workers = Workers(fault, fault, RESULT)
    analyst(store, workers, attempts=3).dispatch()
    assert (line(store).state, line(store).attempts) == ("encoded", 3)


def test_what_fails_every_time_is_failed(store: Store) -> None:
    analyst(store, Workers(*[EngineLost("KilledWorker")] * 9), attempts=2).dispatch()

    assert (line(store).state, line(store).attempts) == ("failed", 2)
    assert "2 attempts" in line(store).reason


def test_what_brings_the_node_down_is_not_tried_for_ever(store: Store) -> None:
    for _ in range(2):  # claimed, and then the node was killed
        analyst(store, Workers(Never(None)), attempts=2).dispatch()
        with store.sessions.begin() as session:
            recover(session, NOW)

    workers = Workers()
    analyst(store, workers, attempts=2).dispatch()

    assert workers.requests == []
    assert line(store).state == "failed"
    assert "none came to an end" in line(store).reason


def test_an_orderly_stop_is_no_try(store: Store) -> None:
    for _ in range(5):
        analyst(store, Workers(Never(None)), attempts=2).dispatch()
        with store.sessions.begin() as session:
            recover(session, NOW, counted=False)

    assert (line(store).state, line(store).attempts) == ("stable", 0)


def test_bad_weights_fail_at_once(store: Store) -> None:
    analyst(store, Workers(ModelError("sha256 expected a, got b"))).dispatch()

    assert (line(store).state, line(store).attempts) == ("failed", 1)


def test_a_hanging_task_has_the_workers_restarted(store: Store) -> None:
    workers = Workers(Never(None))
    running = analyst(store, workers, timeout=0)
    running.dispatch()
    assert workers.restarts == 0

    running.dispatch()

    assert workers.restarts == 1


def test_a_result_that_came_too_late_changes_nothing(store: Store) -> None:
    running = analyst(store, Workers())
    with store.sessions.begin() as session:
        ticket = claim_next(session, NOW)
        assert ticket is not None
    with store.sessions.begin() as session:
        recover(session, NOW)  # the claim was given back meanwhile

    running.settle(ticket, Job(RESULT))  # type: ignore[arg-type]  # a small fake

    assert (line(store).state, line(store).score) == ("stable", None)
    assert running.wait_until_idle(seconds=0)


def test_a_late_instance_supersedes_and_names_its_predecessor(store: Store) -> None:
    workers = Workers(RESULT, Unsuitable(code="x", text="y"))
    running = analyst(store, workers)
    running.dispatch()
    arrive(store, "2.25.7")

    running.dispatch()

    first, second = workers.requests
    assert first.predecessor is None
    assert (second.revision, second.earlier, len(second.files)) == (2, ("k1",), 2)
    assert second.predecessor is not None
    assert second.predecessor.sop_instance_uid == "2.25.101"
