"""Decide when a self-test is due, how a run goes on, and whether the latest one is fresh."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.database.self_test_series import SelfTestSeen
from storage.results.self_tests import SelfTestOutcome, SelfTestRun
from storage.states import SelfTestState, SeriesState

PART = "self-test"  #: in the condition of the node
RETRY = timedelta(minutes=15)  #: after a run that failed: what was mended shows soon
STALE_AFTER = 2  #: intervals without a run that has passed
ENDED = frozenset({SeriesState.DELIVERED, SeriesState.UNSUITABLE, SeriesState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRules:
    """What the settings say of self-tests.

    Attributes
    ----------
    every
        Between two runs; None where none is due by itself.
    within
        Longest time from the first image to the result.
    """

    every: timedelta | None
    within: timedelta


def is_due(latest: SelfTestRun | None, rules: SelfTestRules, now: datetime) -> bool:
    """Say whether a run is to be begun by itself.

    Parameters
    ----------
    latest
        The latest run that has passed or failed.
    """
    if rules.every is None:
        return False
    if latest is None or latest.ended_at is None:
        return True
    wait = rules.every if latest.state is SelfTestState.PASSED else min(rules.every, RETRY)
    return abs(now - latest.ended_at) >= wait  # also where the clock was put back


def end_of(
    run: SelfTestRun,
    seen: SelfTestSeen | None,
    sent: int,
    rules: SelfTestRules,
    now: datetime,
) -> SelfTestOutcome | None:
    """Say how a run that was sent has ended: PASSED if its figures can be judged; None to wait.

    A run whose turn did not come says nothing of the node: it is CANCELED, not FAILED.

    Parameters
    ----------
    seen
        Its series as it is now; None before the first row of it.
    sent
        Number of its images.
    """
    if seen is not None and seen.instances > sent:
        return _failed(
            f"{sent} images were sent, {seen.instances} came: somebody else sends into it"
        )
    if run.found:
        return SelfTestOutcome(state=SelfTestState.PASSED)
    if seen is not None and seen.state in ENDED:
        return _failed(seen.reason or f"its series is {seen.state}, without a result")
    if run.began_at is None or now - run.began_at <= rules.within:
        return None
    minutes = rules.within.total_seconds() / 60
    if seen is not None and seen.state is SeriesState.STABLE:
        reason = f"its turn did not come within {minutes:g} min: other series are analysed first"
        return SelfTestOutcome(state=SelfTestState.CANCELED, reason=reason)
    where = "its images are not in the database" if seen is None else f"it is {seen.state}"
    return _failed(f"expected a result within {minutes:g} min, got none: {where}")


def _failed(reason: str) -> SelfTestOutcome:
    return SelfTestOutcome(state=SelfTestState.FAILED, reason=reason)


def fault_of(
    latest: SelfTestRun | None,
    passed: SelfTestRun | None,
    rules: SelfTestRules,
    since: datetime,
    now: datetime,
) -> str:
    """Say what is wrong with the self-test; empty if it is in order, or none is due by itself.

    Parameters
    ----------
    latest, passed
        The latest run that has passed or failed, and the latest that has passed.
    since
        When this process began.
    """
    if latest is not None and latest.state is SelfTestState.FAILED:
        return f"failed at {latest.ended_at:%Y-%m-%d %H:%M} UTC: {latest.reason}"
    if rules.every is None:
        return ""
    known = since if passed is None or passed.ended_at is None else max(since, passed.ended_at)
    if now - known > STALE_AFTER * rules.every + rules.within:
        return f"none has passed since {known:%Y-%m-%d %H:%M} UTC"
    return ""
