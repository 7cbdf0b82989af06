"""Consequences of each fault: for the series, for the worker."""

from datetime import timedelta

import pytest

from dicom_node.analysis.consequences import AttemptPolicy, Failure, Retry, consequence_of
from dicom_node.errors import (
    AlteredFile,
    AnalysisFault,
    CannotRepeat,
    EngineAway,
    EngineLost,
    NotFetched,
    UnfitWorker,
)
from pipeline.errors import ConformanceError, ModelError, OutOfMemory
from pipeline.reasons import FailedReason
from storage.series.lifecycle import SeriesTicket
from storage.states import Rerun

POLICY = AttemptPolicy(attempts=3, task_timeout_seconds=900, first_wait=timedelta(seconds=10))
AWAY, LOST = EngineAway("no scheduler"), EngineLost("its worker died")
NOT_FETCHED = NotFetched("the node sent no file")
ALTERED = AlteredFile("file 1 of 2 is not what the node keeps")
NO_MODEL = ModelError("none")
NO_FILE = AnalysisFault("FileNotFoundError", "x.py:3", of_the_data=False, of_the_worker=True)
BAD_DATA = AnalysisFault("ValueError", "x.py:3", of_the_data=True)


def ticket(attempts: int = 1, rerun: Rerun | None = None) -> SeriesTicket:
    return SeriesTicket(
        series_instance_uid="9",
        study_instance_uid="8",
        generation=1,
        attempts=attempts,
        calling_ae="CT1",
        sop_instance_uids=(),
        digests=(),
        paths=(),
        predecessor_key=None,
        rerun=rerun,
    )


@pytest.mark.parametrize(
    ("fault", "unanimous", "counted", "blames_worker"),
    [
        (AWAY, False, False, False),
        (AWAY, True, False, False),
        (LOST, False, True, True),
        (LOST, True, True, True),
        (NO_MODEL, False, False, True),
        (NO_FILE, False, False, True),
        (NO_FILE, True, True, False),
        (UnfitWorker("version"), False, False, True),
        (NOT_FETCHED, True, False, False),
        (ALTERED, False, False, True),
        (ALTERED, True, True, False),
        (OSError("of the node"), False, True, False),
        (BAD_DATA, False, True, False),
        (OutOfMemory("x"), False, True, False),
        (KeyError("x"), False, True, False),
    ],
)
def test_who_may_be_at_fault(
    fault: Exception, unanimous: bool, counted: bool, blames_worker: bool
) -> None:
    found = consequence_of(fault, ticket(), POLICY, unanimous=unanimous)

    assert isinstance(found, Retry)
    assert (found.counted, found.blames_worker) == (counted, blames_worker)


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (CannotRepeat("gone"), FailedReason.ANALYSIS_FAILED, "reissue: gone"),
        (ConformanceError("y"), FailedReason.OUTGOING_CHECK, "outgoing check: y"),
        (NO_MODEL, FailedReason.MODEL_FAULT, "model: none"),
    ],
)
def test_what_would_come_again_is_final(fault: Exception, code: FailedReason, reason: str) -> None:
    found = consequence_of(fault, ticket(rerun=Rerun.REISSUE), POLICY, unanimous=True)

    assert found == Failure(reason=reason, code=code)


@pytest.mark.parametrize("fault", [LOST, KeyError("x"), OutOfMemory("x")])
def test_after_the_last_attempt_a_series_has_failed(fault: Exception) -> None:
    assert isinstance(consequence_of(fault, ticket(2), POLICY, unanimous=False), Retry)
    found = consequence_of(fault, ticket(3), POLICY, unanimous=False)
    assert isinstance(found, Failure)
    assert found.reason.startswith("3 attempts: ")


def test_an_altered_file_that_every_worker_gets_fails_its_series_and_says_so() -> None:
    found = consequence_of(ALTERED, ticket(3), POLICY, unanimous=True)
    assert found == Failure(reason=f"3 attempts: {ALTERED}")


def test_what_the_data_raise_is_tried_twice() -> None:
    found = consequence_of(BAD_DATA, ticket(2), POLICY, unanimous=False)
    assert found == Failure(reason="ValueError during each analysis; see the log")


@pytest.mark.parametrize("fault", [AWAY, NOT_FETCHED, NO_MODEL, NO_FILE, ALTERED])
def test_what_is_no_fault_of_the_series_never_fails_it(fault: Exception) -> None:
    assert isinstance(consequence_of(fault, ticket(99), POLICY, unanimous=False), Retry)


def test_each_wait_is_twice_as_long() -> None:
    found = [consequence_of(LOST, ticket(n), POLICY, unanimous=False) for n in (1, 2)]
    waits = [each.wait.total_seconds() for each in found if isinstance(each, Retry)]
    assert waits == [10, 20]
