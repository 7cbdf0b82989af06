"""Requests for a rerun: which are accepted, which change nothing, and which cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.rerun import RerunOutcome, request_rerun, start_requested_reruns
from dicom_node.analysis.worker.inputs import inputs_of
from dicom_node.analysis.worker.messages import Unsuitable
from dicom_node.resources import Resources
from pipeline.analysis_file import to_bytes
from pipeline.options import METHOD
from storage.series.rerun import ended_series
from storage.states import Rerun
from tests.support.dispatcher_samples import (
    RESULT,
    AnsweringWorkers,
    Workers,
    dispatcher,
    line,
    open_resources,
)
from tests.support.samples.encode_samples import analysis
from tests.support.samples.received_series import SERIES, receive

CONFIG = analysis_config_of(Settings())
FEW = Unsuitable(code="too-few-slices", text="30 slices or more expected, got 3")


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


def analyse(resources: Resources, method: int = METHOD) -> None:
    """Receive a series, and keep an analysis of it by the model that is set."""
    receive(resources)
    found = analysis()
    made_by = replace(found.provenance, weights_sha256=CONFIG.model.sha256)
    kept = to_bytes(replace(found, provenance=made_by), "source", method)
    workers = AnsweringWorkers(
        lambda request: replace(RESULT, kept=kept, inputs=inputs_of(request))
    )
    dispatcher(resources, workers).dispatch()


def ask(resources: Resources, rerun: Rerun, threshold: float | None = None) -> RerunOutcome:
    config = replace(CONFIG, options=replace(CONFIG.options, threshold=threshold))
    builder = RequestBuilder(resources, config, compare=True)
    with resources.sessions() as session:
        (ended,) = ended_series(session)
    return request_rerun(resources.sessions, builder, ended, rerun)


@pytest.mark.parametrize(
    ("threshold", "rerun", "text"),
    [
        (None, Rerun.REISSUE, "nothing to do: its results were made with these settings"),
        (0.999, Rerun.REISSUE, "will be issued again"),
        (None, Rerun.REPROCESS, "will be analysed again"),
        (0.999, Rerun.REPROCESS, "will be analysed again"),
    ],
)
def test_results_that_stand_are_not_issued_again_but_may_be_made_anew(
    resources: Resources, threshold: float | None, rerun: Rerun, text: str
) -> None:
    analyse(resources)

    outcome = ask(resources, rerun, threshold)

    accepted = text.startswith("will be")
    assert (outcome.text, outcome.accepted, outcome.refused) == (text, accepted, False)
    assert line(resources).wish == (rerun if accepted else None)


def test_what_cannot_be_issued_again_is_refused_with_the_reason(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(FEW)).dispatch()

    outcome = ask(resources, Rerun.REISSUE)

    reason = "refused: its instances have not been analysed: use reprocess"
    assert (outcome.text, outcome.accepted, outcome.refused) == (reason, False, True)
    assert line(resources).wish is None
    assert ask(resources, Rerun.REPROCESS).accepted


def test_what_an_earlier_method_found_is_not_issued_again_but_analysed_anew(
    resources: Resources,
) -> None:
    """It would stand for what today's method finds, and keep it from being looked for."""
    analyse(resources, METHOD - 1)

    outcome = ask(resources, Rerun.REISSUE, threshold=0.999)

    reason = "refused: the kept analysis is of an earlier method: reprocess it"
    assert (outcome.text, outcome.refused, line(resources).wish) == (reason, True, None)
    assert ask(resources, Rerun.REPROCESS).accepted
    start_requested_reruns(resources, lambda: None)
    workers = Workers(FEW)
    dispatcher(resources, workers).dispatch()
    assert [request.kept for request in workers.requests] == [None]


def test_a_series_that_has_not_ended_needs_no_rerun(resources: Resources) -> None:
    receive(resources)

    outcome = ask(resources, Rerun.REPROCESS)

    assert outcome.text.startswith("nothing to do: it is ")
    assert not outcome.accepted
    assert not outcome.refused


def test_reruns_that_are_asked_for_are_started_and_said(resources: Resources) -> None:
    woken: list[str] = []
    analyse(resources)
    start_requested_reruns(resources, lambda: woken.append("analysis"))
    assert woken == []
    assert ask(resources, Rerun.REPROCESS).accepted

    with capture_logs() as logs:
        start_requested_reruns(resources, lambda: woken.append("analysis"))

    assert woken == ["analysis"]
    assert line(resources).state == "stable"
    assert [(log["event"], log["series_uid"]) for log in logs] == [("wish_taken_up", SERIES)]
