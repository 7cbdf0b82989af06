"""A series that is about to be closed is analysed ahead, and the analysis takes what was found."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from dicom_node.analysis.before_closing.analysis_ahead import MAXIMUM_IN_VAIN
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.offline import source_files
from dicom_node.analysis.worker import series_task
from dicom_node.analysis.worker.findings import _AHEAD, Findings, _Ahead, find_ahead
from dicom_node.analysis.worker.messages import Analysed, AnalysisRequest, FoundAhead
from dicom_node.errors import EngineAway, EngineLost, NoWorker
from dicom_node.resources import Resources
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import OpenSeries, close, receiving
from tests.support.dispatcher_samples import (
    NOW,
    RESULT,
    Job,
    Never,
    Workers,
    dispatcher,
    open_resources,
)
from tests.support.node_process import wait_until
from tests.support.samples.encode_samples import analysis, ct_series

FOUND = FoundAhead(kept=True)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


def arrive(resources: Resources, uid: str, *, series: str = "2.25.2") -> OpenSeries:
    """Keep an instance; give the series as it is then."""
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="SCANNER",
        path=f"incoming/00/{uid}.dcm",
        digest=f"{uid:0>64}",
        bytes=1,
    )
    with resources.sessions.begin() as session:
        record_instance(session, facts, NOW + timedelta(seconds=int(uid[-1])))
        (found,) = [one for one in receiving(session) if one.series_instance_uid == series]
    return found


def close_all(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        for series in receiving(session):
            close(session, series, NOW)


def expect(node: AnalysisDispatcher, series: OpenSeries) -> None:
    """Say that a series is about to be closed, and let the node do what it does then."""
    node.expect(series)
    node.dispatch()


def test_a_series_that_was_closed_meanwhile_is_not_begun_ahead_any_more(
    resources: Resources,
) -> None:
    workers = Workers(RESULT)
    node = dispatcher(resources, workers)
    node.expect(arrive(resources, "2.25.11"))
    close_all(resources)

    node.dispatch()
    node.dispatch()

    assert len(workers.requests) == 1


def test_the_closed_series_goes_to_the_worker_that_has_begun_with_it(resources: Resources) -> None:
    workers = Workers(Job(FOUND), RESULT, fit=frozenset({"one", "two"}))
    node = dispatcher(resources, workers)
    series = arrive(resources, "2.25.11")
    expect(node, series)
    expect(node, series)

    close_all(resources)
    node.dispatch()

    ahead, then = workers.requests
    assert ahead == then.images
    assert ahead.files[0].digest == f"{'2.25.11':0>64}"
    assert workers.avoided == [frozenset(), frozenset({"two"})]
    assert workers.priorities[0] < workers.priorities[1]


@pytest.mark.parametrize("found", [FoundAhead(kept=False), OSError("unreadable there")])
def test_a_worker_that_keeps_nothing_is_like_any_other(
    resources: Resources, found: FoundAhead | OSError
) -> None:
    workers = Workers(Job(found), RESULT, fit=frozenset({"one", "two"}))
    node = dispatcher(resources, workers)
    expect(node, arrive(resources, "2.25.11"))
    close_all(resources)
    node.dispatch()
    assert workers.avoided == [frozenset(), frozenset()]


def test_what_was_found_is_taken_once(resources: Resources) -> None:
    workers = Workers(Job(FOUND), RESULT, EngineAway("lost"), fit=frozenset({"one", "two"}))
    node = dispatcher(resources, workers)
    expect(node, arrive(resources, "2.25.11"))
    close_all(resources)
    node.dispatch()
    arrive(resources, "2.25.12")
    close_all(resources)
    node.dispatch()
    assert workers.avoided == [frozenset(), frozenset({"two"}), frozenset()]


def test_what_failed_is_told_and_not_begun_ahead_again(resources: Resources) -> None:
    workers = Workers(Job(EngineLost("its worker died")))
    node = dispatcher(resources, workers)
    expect(node, arrive(resources, "2.25.11"))
    with capture_logs() as lines:
        expect(node, arrive(resources, "2.25.12"))
    assert [line["event"] for line in lines] == ["analysis_ahead_failed"]
    assert len(workers.requests) == 1


def test_instances_that_come_again_and_again_keep_no_worker_busy(resources: Resources) -> None:
    workers = Workers(*[Job(FOUND)] * 9, fit=frozenset({"one", "two"}))
    node = dispatcher(resources, workers)
    for number in range(5):
        expect(node, arrive(resources, f"2.25.1{number}"))
    assert len(workers.requests) == MAXIMUM_IN_VAIN
    assert workers.avoided == [frozenset(), frozenset({"two"})]


def test_a_closed_series_comes_first_and_another_is_not_begun_beside(resources: Resources) -> None:
    never = Never(None)
    workers = Workers(never, never)
    node = dispatcher(resources, workers)
    arrive(resources, "2.25.11")
    close_all(resources)
    expect(node, arrive(resources, "2.25.12", series="2.25.4"))
    expect(node, arrive(resources, "2.25.13", series="2.25.5"))
    (request,) = workers.requests
    assert request.series_instance_uid == "2.25.2"


def test_what_no_worker_has_begun_is_taken_back(resources: Resources) -> None:
    waiting, again = Never(None), Never(None)
    waiting.started_at = again.started_at = None
    workers = Workers(waiting, again, RESULT)
    node = dispatcher(resources, workers)
    expect(node, arrive(resources, "2.25.11"))
    expect(node, arrive(resources, "2.25.12"))
    assert workers.taken_back == [waiting]

    close_all(resources)
    node.dispatch()
    assert workers.taken_back == [waiting, again]
    assert workers.avoided == [frozenset()] * 3


def test_one_that_hangs_is_seen_and_ended_with_its_worker(resources: Resources) -> None:
    never = Never(None)
    workers = Workers(never)
    node = dispatcher(resources, workers, timeout=0)
    expect(node, arrive(resources, "2.25.11"))
    assert [load.series_instance_uid for load in node.loads()] == ["2.25.2"]

    with capture_logs() as lines:
        node.dispatch()
        node.dispatch()

    assert workers.ended == [never]
    assert [line["event"] for line in lines] == ["worker_restarted"]


def test_without_a_worker_the_series_waits_for_one(resources: Resources) -> None:
    class Away(Workers):
        def submit(self, *_: object, **__: object) -> Job:  # type: ignore[override]  # asks nobody
            raise NoWorker("none is fit")

    node = dispatcher(resources, Away())
    expect(node, arrive(resources, "2.25.11"))
    assert [(load.worker, load.series_instance_uid) for load in node.loads()] == [
        ("machine one", "")
    ]


def test_what_was_found_is_not_kept_for_long(chest: Path) -> None:
    images = request_for(chest).images
    kept = _Ahead(seconds=0.0)
    kept.keep(images, Findings(series=ct_series(), undecided=analysis(), seconds={}))
    wait_until(lambda: kept.is_empty, seconds=20, what="nothing kept")
    assert kept.take(images) is None


def request_for(folder: Path) -> AnalysisRequest:
    return AnalysisRequest(
        series_instance_uid="1.2",
        files=tuple(source_files(sorted(folder.glob("*.dcm")))),
        config=analysis_config_of(Settings()),
        created=NOW,
    )


def stages_of(request: AnalysisRequest) -> tuple[Analysed, set[str]]:
    """Make the results; say through which stages that went."""
    stages: set[str] = set()
    made = series_task.results_of(request, lambda stage, _: stages.add(stage))
    assert isinstance(made, Analysed)
    return made, stages


def test_what_was_found_ahead_is_taken_once_and_says_the_same(chest: Path) -> None:
    request = request_for(chest)
    assert find_ahead(request.images) == FOUND
    taken, stages = stages_of(request)
    anew, all_stages = stages_of(request)

    assert not stages & {"read", "lungs"}
    assert all_stages >= {"read", "lungs"}
    assert taken.seconds.keys() == anew.seconds.keys()
    assert {**taken.summary, "provenance": ""} == {**anew.summary, "provenance": ""}
    assert [one.sop_instance_uid for one in taken.objects] == [
        one.sop_instance_uid for one in anew.objects
    ]


class BegunAnewError(Exception):
    """The files are read."""


def stop_at_reading(stage: str, _: float) -> None:
    if stage == "read":
        raise BegunAnewError


def test_what_was_found_in_anything_else_is_not_taken(chest: Path) -> None:
    request = request_for(chest)
    found = Findings(series=ct_series(), undecided=analysis(), seconds={})
    others = [
        replace(request, files=request.files[:-1]),
        replace(request, attempt=2),
        replace(request, config=replace(request.config, threads=2)),
    ]
    for other in others:
        _AHEAD.keep(request.images, found)
        with pytest.raises(BegunAnewError):
            series_task.results_of(other, stop_at_reading)


def test_what_is_no_chest_is_left_to_the_analysis(chest: Path) -> None:
    images = request_for(chest).images
    assert find_ahead(replace(images, files=images.files[:3])) == FoundAhead(kept=False)
