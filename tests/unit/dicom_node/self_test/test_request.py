"""Whoever asks for a self-test waits as long as one may come, and no longer."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.self_test.request import overdue, self_test_now
from storage.results.self_tests import (
    SelfTestOutcome,
    begin_self_test,
    end_self_test,
    requested_self_test,
)
from storage.states import SelfTestState
from tests.support.dispatcher_samples import NOW
from tests.support.reception import open_resources

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("waited", "idle", "words"),
    [
        (MINUTE, MINUTE, ""),
        (2 * MINUTE, 2 * MINUTE, "expected the node to begin a self-test within 1 min"),
        (30 * MINUTE, 0 * MINUTE, ""),  # another one is under way
        (63 * MINUTE, 0 * MINUTE, "expected the self-test to end within 62 min"),
    ],
)
def test_it_is_overdue(waited: timedelta, idle: timedelta, words: str) -> None:
    doubt = overdue(waited, idle, 30 * MINUTE)

    assert doubt.startswith(words)
    assert bool(doubt) is bool(words)


@pytest.mark.parametrize("state", [None, SelfTestState.CANCELED])
def test_who_asks_is_told_where_none_is_begun_or_its_turn_does_not_come(
    tmp_path: Path, state: SelfTestState | None
) -> None:
    now = NOW

    def clock() -> datetime:
        return now

    resources = replace(open_resources(tmp_path), clock=clock)

    def pause(_: float) -> None:
        nonlocal now
        now += MINUTE
        with resources.sessions.begin() as session:
            asked = requested_self_test(session)
            if state is not None and asked is not None:
                begin_self_test(session, asked.id, "2.25.1", now)
                end = SelfTestOutcome(state=state, reason="its turn did not come")
                end_self_test(session, asked.id, end, now)

    words = "its turn did not come" if state else "expected the node to begin a self-test"
    with only_node(tmp_path), pytest.raises(NodeError, match=words):
        self_test_now(resources, "somebody", 30 * MINUTE, pause)
