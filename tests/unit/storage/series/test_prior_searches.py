"""Searches for earlier studies are due in time, whatever the clock does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.resources import Resources
from storage.database.schema import Search
from storage.series.prior_searches import due_searches, fetched_searches, shorten_waits
from storage.states import SearchState
from tests.support.results_due import CT, START, Hands, store_with_results

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return store_with_results(tmp_path, Hands())


def enter(resources: Resources, state: SearchState, after: timedelta) -> None:
    with resources.sessions.begin() as session:
        uid = CT.series_instance_uid
        session.add(Search(series_instance_uid=uid, state=state, next_at=START + after))


@pytest.mark.parametrize(
    ("after", "due"),
    [
        (timedelta(0), 1),
        (timedelta(seconds=1), 0),
        (HOUR, 0),  # the longest wait
        (HOUR + timedelta(minutes=1), 0),
        (HOUR + timedelta(seconds=61), 1),  # the clock was put back
        (timedelta(days=400), 1),
    ],
)
def test_a_search_beyond_any_wait_is_due(resources: Resources, after: timedelta, due: int) -> None:
    enter(resources, SearchState.WANTED, after)
    with resources.sessions() as session:
        assert len(due_searches(session, START, longest_wait=HOUR)) == due


def test_a_fetched_series_is_awaited_no_longer_than_ever(resources: Resources) -> None:
    enter(resources, SearchState.FETCHED, timedelta(days=400))
    with resources.sessions.begin() as session:
        shorten_waits(session, START, HOUR)
    with resources.sessions() as session:
        assert session.scalars(select(Search.next_at)).one() == START + HOUR
        assert not fetched_searches(session, START + HOUR - timedelta(seconds=1))[0].useless
        assert fetched_searches(session, START + HOUR)[0].useless


def test_a_series_that_is_awaited_in_time_is_left_alone(resources: Resources) -> None:
    enter(resources, SearchState.FETCHED, HOUR)
    with resources.sessions.begin() as session:
        shorten_waits(session, START, HOUR)
        assert session.scalars(select(Search.next_at)).one() == START + HOUR
