"""Ask the running node for a self-test, and wait for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from dicom_node.errors import NodeError
from dicom_node.folder_lock import is_running
from dicom_node.resources import Resources
from storage.results.self_tests import (
    ENDED,
    SelfTestRun,
    is_self_test_running,
    request_self_test,
    self_test,
)
from storage.states import SelfTestState

LOOK_SECONDS = 0.5  #: between two looks whether it has ended
BEGUN_WITHIN = timedelta(minutes=1)  #: while no other runs; a node that can run any looks each 2 s


def self_test_now(
    resources: Resources,
    by: str,
    within: timedelta,
    pause: Callable[[float], object] = time.sleep,
) -> SelfTestRun:
    """Ask for a self-test, and wait until it has passed or failed.

    Parameters
    ----------
    by
        Who asks.
    within
        Longest time that a run may take.

    Raises
    ------
    NodeError
        If the node does not run, or ends meanwhile, or if the run is not begun, does not get its
        turn, or comes to no end.
    """
    folder = resources.folder.root
    if not is_running(folder):
        raise NodeError("expected a node that runs, got none: it tests itself")
    asked_at = idle_since = resources.clock()
    with resources.sessions.begin() as session:
        number = request_self_test(session, asked_at, by)
    while True:
        with resources.sessions.reading() as session:
            run, busy = self_test(session, number), is_self_test_running(session)
        if run.state in ENDED:
            return run
        if run.state is SelfTestState.CANCELED:
            raise NodeError(run.reason)
        if not is_running(folder):
            raise NodeError("the node was stopped meanwhile")
        now = resources.clock()
        idle_since = now if busy else idle_since
        if doubt := overdue(now - asked_at, now - idle_since, within):
            raise NodeError(doubt)
        pause(LOOK_SECONDS)


def overdue(waited: timedelta, idle: timedelta, within: timedelta) -> str:
    """Say why there is nothing to wait for any longer; empty while there is.

    Parameters
    ----------
    waited
        Time since it was asked for.
    idle
        Time since any self-test was last seen running, or since this one was asked for.
    """
    if idle > BEGUN_WITHIN:
        return (
            f"expected the node to begin a self-test within {_minutes(BEGUN_WITHIN)} min, it did"
            " not: an earlier one still waits for its analysis, or the node cannot run any"
            " (dicom-node status and its log say so); it is begun once that can be"
        )
    longest = 2 * (within + BEGUN_WITHIN)  # one that is under way, then this one
    if waited > longest:
        return f"expected the self-test to end within {_minutes(longest)} min, it did not"
    return ""


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:g}"
