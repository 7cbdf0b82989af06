"""When a self-test is due, how it ends, and when that is a fault."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dicom_node.monitoring.catalogue import RUN
from dicom_node.self_test.schedule import RETRY, SelfTestRules, end_of, fault_of, is_due
from storage.database.self_test_series import SelfTestSeen
from storage.results.self_tests import SelfTestOutcome, SelfTestRun
from storage.states import SelfTestState, SeriesState
from tests.unit.dicom_node.analysis.test_dispatcher import NOW

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
RULES = SelfTestRules(every=DAY, within=30 * MINUTE)
BY_HAND = replace(RULES, every=None)
PASSED = replace(RUN, state=SelfTestState.PASSED, began_at=NOW, ended_at=NOW)
FAILED = replace(PASSED, state=SelfTestState.FAILED, reason="no")
RUNNING = replace(RUN, state=SelfTestState.RUNNING, began_at=NOW, ended_at=None)


def failed(reason: str) -> SelfTestOutcome:
    return SelfTestOutcome(state=SelfTestState.FAILED, reason=reason)


def seen(state: SeriesState, reason: str = "", instances: int = 60) -> SelfTestSeen:
    return SelfTestSeen(state=state, reason=reason, instances=instances)


@pytest.mark.parametrize(
    ("latest", "rules", "after", "due"),
    [
        (None, RULES, timedelta(0), True),  # the first
        (None, BY_HAND, timedelta(0), False),
        (FAILED, BY_HAND, 9 * DAY, False),
        (PASSED, RULES, 23 * HOUR, False),
        (PASSED, RULES, DAY, True),
        (PASSED, RULES, -2 * DAY, True),  # the clock was put back
        (FAILED, RULES, RETRY - MINUTE, False),
        (FAILED, RULES, RETRY, True),  # so that what was mended shows
        (FAILED, replace(RULES, every=MINUTE), MINUTE, True),
    ],
)
def test_a_run_is_due(
    latest: SelfTestRun | None, rules: SelfTestRules, after: timedelta, *, due: bool
) -> None:
    assert is_due(latest, rules, NOW + after) is due


@pytest.mark.parametrize(
    ("run", "series", "after", "end"),
    [
        (RUNNING, None, 29 * MINUTE, None),
        (RUNNING, seen(SeriesState.ANALYSING), 29 * MINUTE, None),
        (
            replace(RUNNING, found="{}"),
            seen(SeriesState.DELIVERED),
            MINUTE,
            SelfTestOutcome(state=SelfTestState.PASSED),
        ),
        (
            RUNNING,
            seen(SeriesState.UNSUITABLE, "too-few-slices: 3"),
            MINUTE,
            failed("too-few-slices: 3"),
        ),
        (
            RUNNING,
            seen(SeriesState.FAILED),
            MINUTE,
            failed("its series is failed, without a result"),
        ),
        (
            RUNNING,
            None,
            31 * MINUTE,
            failed("expected a result within 30 min, got none: its images are not in the database"),
        ),
        (
            RUNNING,
            seen(SeriesState.STABLE),
            31 * MINUTE,
            SelfTestOutcome(  # the queue is long: that says nothing of the node
                state=SelfTestState.CANCELED,
                reason="its turn did not come within 30 min: other series are analysed first",
            ),
        ),
        (
            RUNNING,
            seen(SeriesState.ANALYSING),
            31 * MINUTE,
            failed("expected a result within 30 min, got none: it is analysing"),
        ),
        (
            replace(RUNNING, found="{}"),
            seen(SeriesState.DELIVERED, instances=61),
            MINUTE,
            failed("60 images were sent, 61 came: somebody else sends into it"),
        ),
    ],
)
def test_a_run_ends_with_its_figures_or_with_the_reason_why_not(
    run: SelfTestRun, series: SelfTestSeen | None, after: timedelta, end: SelfTestOutcome | None
) -> None:
    assert end_of(run, series, 60, RULES, NOW + after) == end


@pytest.mark.parametrize(
    ("latest", "passed", "rules", "after", "fault"),
    [
        (None, None, RULES, DAY, ""),  # the node has just begun
        (None, None, RULES, 3 * DAY, "none has passed since 2026-03-01 00:00 UTC"),
        (None, None, BY_HAND, 99 * DAY, ""),
        (PASSED, PASSED, RULES, 2 * DAY, ""),
        (PASSED, PASSED, RULES, 3 * DAY, "none has passed since 2026-03-01 00:00 UTC"),
        (PASSED, PASSED, BY_HAND, 3 * DAY, ""),
        (FAILED, PASSED, RULES, MINUTE, "failed at 2026-03-01 00:00 UTC: no"),
        (FAILED, None, BY_HAND, MINUTE, "failed at 2026-03-01 00:00 UTC: no"),
    ],
)
def test_a_self_test_that_failed_or_is_stale_is_a_fault(
    latest: SelfTestRun | None,
    passed: SelfTestRun | None,
    rules: SelfTestRules,
    after: timedelta,
    fault: str,
) -> None:
    assert fault_of(latest, passed, rules, NOW, NOW + after) == fault
