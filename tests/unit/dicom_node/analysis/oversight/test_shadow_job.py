"""A second model analyses what has left, makes way for everything, and harms no series."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.settings import Settings, ShadowSettings
from dicom_node.analysis.configuration import analysis_config_of, model_of
from dicom_node.analysis.oversight.shadow_job import (
    PART,
    REST,
    STOP_SECONDS,
    ShadowJob,
    ShadowRules,
)
from dicom_node.analysis.worker.messages import Shadowed, ShadowRequest, Stopped, Unsuitable
from dicom_node.analysis.worker.shadow_task import stop
from dicom_node.assembly.shadow import prepared
from dicom_node.errors import AnalysisFault, EngineAway, EngineLost, NoWorker
from dicom_node.resources import Resources
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED
from storage.database.watch_tables import ShadowResult
from storage.errors import DatabaseUnavailable
from tests.support.dispatcher_samples import NOW, RESULT, Job, Never, Workers, dispatcher
from tests.support.reception import open_resources
from tests.unit.dicom_node.analysis.test_dispatcher import arrive

SECOND = replace(model_of(Settings()), name="second", sha256="2" * 64)
FOUND = Shadowed(
    score=0.25,
    opacities_ml=3.0,
    lungs_ml=4000.0,
    opacities_of_result_ml=2.0,
    lungs_of_result_ml=4000.0,
    software="1",
    seconds=2.0,
    reused_lungs=True,
)


class Steady:
    """A steady clock that is moved by hand."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A node that has one series, analysed and delivered."""
    made = replace(open_resources(tmp_path), clock=lambda: NOW + timedelta(minutes=1))
    arrive(made, "2.25.1")
    node = dispatcher(made, Workers(RESULT))
    node.outcomes._destinations = []
    node.dispatch()
    return made


def rules() -> ShadowRules:
    config = analysis_config_of(Settings())
    return ShadowRules(
        config=replace(config, model=SECOND), first=config.model, task_timeout_seconds=900
    )


def job(
    resources: Resources,
    workers: Workers,
    *,
    is_idle: Callable[[], bool] = lambda: True,
    steady: Steady | None = None,
) -> ShadowJob:
    made = ShadowJob(
        resources,
        workers,
        is_idle=is_idle,
        executor=lambda act: act(),
        wake=lambda: None,
        steady=steady or Steady(),
    )
    made.take(rules())
    return made


def kept(resources: Resources) -> list[ShadowResult]:
    with resources.sessions.reading() as session:
        return list(session.scalars(select(ShadowResult)))


def running_job(resources: Resources, workers: Workers, steady: Steady) -> tuple[ShadowJob, Never]:
    """A job whose analysis is under way."""
    task = Never(None)
    task.started_at = steady.now
    workers.answers.append(task)
    made = job(resources, workers, steady=steady)
    made.run_once()
    return made, task


def test_figures_of_what_has_left_are_kept_once_and_nothing_is_delivered(
    resources: Resources,
) -> None:
    workers = Workers(Job(FOUND))
    shadow = job(resources, workers)

    for _ in range(3):
        shadow.run_once()

    (request,) = workers.requests
    assert isinstance(request, ShadowRequest)
    assert request.images.model == SECOND
    assert request.kept == resources.folder.root / "results/k1/analysis.npz"
    assert workers.priorities == [-3]
    (row,) = kept(resources)
    assert (row.result_key, row.score, row.opacities_of_result_ml) == ("k1", 0.25, 2.0)
    assert (row.model, row.software) == (f"second {SECOND.version}", "1")
    assert resources.folder.paths("results/*") == {"results/k1"}


def test_it_waits_until_there_is_nothing_else_to_do(resources: Resources) -> None:
    workers = Workers()

    job(resources, workers, is_idle=lambda: False).run_once()

    assert workers.requests == []


def test_without_a_worker_it_waits(resources: Resources) -> None:
    class Nobody(Workers):
        def submit(self, *_: Any, **__: Any) -> Job:  # noqa: ANN401  # any task
            raise NoWorker("none")

    job(resources, Nobody()).run_once()

    assert kept(resources) == []


def test_it_is_told_to_make_way_once_and_is_tried_again(resources: Resources) -> None:
    workers, steady = Workers(), Steady()
    shadow, task = running_job(resources, workers, steady)

    shadow.make_way()
    shadow.make_way()

    token = shadow._running.token if shadow._running else ""
    assert workers.told == [(task, stop, token)]
    task.answer = Stopped()
    if shadow._running:
        shadow._running.ended.set()
    workers.answers.append(Job(FOUND))
    shadow.run_once()
    shadow.run_once()
    assert [row.score for row in kept(resources)] == [0.25]


def test_the_worker_of_what_does_not_make_way_is_restarted_once(resources: Resources) -> None:
    workers, steady = Workers(), Steady()
    shadow, task = running_job(resources, workers, steady)
    shadow.make_way()
    shadow.run_once()
    assert workers.ended == []

    steady.now += STOP_SECONDS + 1
    shadow.run_once()
    shadow.run_once()

    assert workers.ended == [task]
    task.answer = EngineLost("its worker was restarted")
    if shadow._running:
        shadow._running.ended.set()
    workers.answers.append(Job(EngineLost("died")))
    shadow.run_once()
    shadow.run_once()
    steady.now += REST.first_seconds + 1
    workers.answers.append(Job(FOUND))
    shadow.run_once()
    shadow.run_once()
    assert [row.score for row in kept(resources)] == [0.25]  # it was no failure of the series


def test_a_neighbour_is_not_undone_as_long_as_it_does_not_hang(resources: Resources) -> None:
    workers, steady = Workers(), Steady()
    shadow, task = running_job(resources, workers, steady)
    workers.with_neighbour = [task]
    shadow.make_way()
    steady.now += STOP_SECONDS + 1
    shadow.run_once()
    assert workers.ended == []

    steady.now += 901
    shadow.run_once()

    assert workers.ended == [task]


def test_what_hangs_is_ended(resources: Resources) -> None:
    workers, steady = Workers(), Steady()
    shadow, task = running_job(resources, workers, steady)

    steady.now += 901
    shadow.run_once()

    assert workers.ended == [task]


def test_what_is_not_known_to_have_begun_is_taken_back_and_told_to_end(
    resources: Resources,
) -> None:
    task = Never(None)
    task.started_at = None
    workers = Workers(task)
    shadow = job(resources, workers)
    shadow.run_once()

    shadow.make_way()

    assert workers.taken_back == [task]
    assert [told for told, *_ in workers.told] == [task]  # a worker may have begun it


def test_a_node_that_retires_has_it_end_and_begins_none(resources: Resources) -> None:
    workers, steady = Workers(), Steady()
    shadow, task = running_job(resources, workers, steady)

    shadow.retire()

    assert [told for told, *_ in workers.told] == [task]
    task.answer = Stopped()
    if shadow._running:
        shadow._running.ended.set()
    shadow.run_once()
    shadow.run_once()
    assert len(workers.requests) == 1


FAULT = AnalysisFault("IndexError", "", of_the_data=True, of_the_worker=False)
UNREADABLE = AnalysisFault("OSError", "", of_the_data=False, of_the_worker=True)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((Unsuitable(code="no-lungs", text="none"),), "no-lungs: none"),
        ((FAULT, FAULT), "IndexError during the analysis; see the log"),
        ((EngineAway("gone"), EngineLost("died"), EngineLost("died")), "died"),
        ((UNREADABLE, UNREADABLE), "OSError during the analysis; see the log"),
    ],
)
def test_a_failure_is_kept_with_its_reason_after_two_tries(
    resources: Resources, answers: tuple[Any, ...], reason: str
) -> None:
    workers, steady = Workers(*map(Job, answers)), Steady()
    shadow = job(resources, workers, steady=steady)

    for _ in range(len(answers) + 2):
        shadow.run_once()
        steady.now += REST.longest_seconds

    (row,) = kept(resources)
    assert (row.score, row.reason) == (None, reason)
    assert len(workers.requests) == len(answers)


@pytest.mark.parametrize("fault", [EngineLost("died"), UNREADABLE])
def test_what_may_be_of_the_worker_is_a_fault_and_rests_longer_each_time(
    resources: Resources, fault: Exception
) -> None:
    workers, steady = Workers(Job(fault), Job(fault)), Steady()
    shadow = job(resources, workers, steady=steady)
    begun = []
    for seconds in (0.0, 1.0, REST.wait(1), REST.wait(1) + 1.0, 1.0):
        steady.now += seconds
        shadow.run_once()
        begun.append(len(workers.requests))

    assert begun == [1, 1, 2, 2, 2]
    (part,) = resources.health.snapshot()
    assert part.part == PART


def test_what_may_be_of_the_worker_is_tried_elsewhere_and_counts_for_no_series(
    resources: Resources,
) -> None:
    workers, steady = Workers(*[Job(UNREADABLE)] * 3, fit=frozenset({"one", "two"})), Steady()
    shadow = job(resources, workers, steady=steady)

    for _ in range(5):
        shadow.run_once()
        steady.now += REST.longest_seconds

    assert workers.avoided == [frozenset(), *[frozenset({"one"})] * 2]
    assert kept(resources) == []


def test_a_model_that_cannot_be_used_is_a_fault_and_is_tried_again_later(
    resources: Resources,
) -> None:
    workers, steady = Workers(Job(ModelError("none of that digest"))), Steady()
    shadow = job(resources, workers, steady=steady)
    for _ in range(3):
        shadow.run_once()
    assert len(workers.requests) == 1
    (fault,) = resources.health.snapshot()
    assert (fault.part, fault.is_ready) == (PART, True)
    assert kept(resources) == []

    steady.now += REST.first_seconds + 1
    workers.answers.append(Job(FOUND))
    shadow.run_once()
    shadow.run_once()

    assert resources.health.snapshot() == ()
    assert len(kept(resources)) == 1


def test_what_could_not_be_written_is_written_the_next_time(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(Job(FOUND))
    shadow = job(resources, workers)
    shadow.run_once()
    with monkeypatch.context() as away:

        def locked() -> None:
            raise DatabaseUnavailable("locked")

        away.setattr(resources.sessions, "begin", locked)
        with pytest.raises(DatabaseUnavailable):
            shadow.run_once()

    shadow.run_once()

    assert [row.score for row in kept(resources)] == [0.25]


def test_a_second_model_that_is_not_there_or_is_the_one_in_use_hinders_nothing(
    resources: Resources, tmp_path: Path
) -> None:
    config = analysis_config_of(Settings())
    shadow = job(resources, Workers())
    for folder, why in ((tmp_path, "found none in"), (BUNDLED, "got the same")):
        settings = Settings(shadow=ShadowSettings(model=folder))

        prepared(shadow, resources, settings, config)()

        (fault,) = resources.health.snapshot()
        assert why in fault.reason
        assert shadow.rules is None
    prepared(shadow, resources, Settings(), config)()
    assert resources.health.snapshot() == ()
