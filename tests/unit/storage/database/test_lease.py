"""The lease of the database: taken as seen, fenced, and named by the claims of rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.lease import (
    Holder,
    Lease,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from storage.database.schema import Delivery, Series
from storage.database.sessions import Sessions
from storage.delivery.outbox import claim, due
from storage.errors import LeaseLost, StaleState
from storage.maintenance.recovery import recover
from storage.series.lifecycle import claim_next
from storage.series.rerun import mark_for_rerun, start_reruns
from storage.states import DeliveryState, Rerun, SeriesState
from tests.support.results_due import CT, START, Hands, store_with_results

pytestmark = pytest.mark.database

ME = Holder(installation="i", holder="a" * 32, place="here", folder="/data", host="h", pid=1)
OTHER = replace(ME, holder="b" * 32, place="there", host="other", pid=2)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """One series with three objects due at the PACS."""
    resources = store_with_results(tmp_path, Hands())
    yield resources
    resources.close()


def take(sessions: Sessions, holder: Holder) -> int:
    with sessions.begin() as session:
        seen = read_lease(session)
        number = seen.number + 1 if seen else 1
        take_lease(session, holder, START, seen=seen, number=number, found="")
    return number


def held(resources: Resources, holder: Holder) -> Sessions:
    """Sessions of a process that has just taken the lease."""
    sessions = Sessions(resources.sessions._database, substitutes=SUBSTITUTES)
    sessions.hold(take(resources.sessions, holder), holder.holder, lambda _: None)
    return sessions


def lease(sessions: Sessions) -> Lease:
    with sessions.reading() as session:
        found = read_lease(session)
    assert found is not None
    return found


def test_each_holder_has_the_next_number_and_lets_go_by_name(resources: Resources) -> None:
    assert take(resources.sessions, ME) == 1
    assert take(resources.sessions, OTHER) == 2
    with resources.sessions.begin() as session:
        release_lease(session, 1, ME.holder)
    assert lease(resources.sessions).is_held
    with resources.sessions.begin() as session:
        release_lease(session, 2, OTHER.holder)
    assert not lease(resources.sessions).is_held


def test_a_lease_whose_holder_has_shown_life_since_is_not_taken(resources: Resources) -> None:
    take(resources.sessions, ME)
    seen = lease(resources.sessions)
    with resources.sessions.begin() as session:
        assert renew_lease(session, 1, ME.holder) == 1
    with pytest.raises(StaleState, match="its holder lives"), resources.sessions.begin() as session:
        take_lease(session, OTHER, START, seen=seen, number=2, found="")
    with pytest.raises(StaleState, match="as it was seen"), resources.sessions.begin() as session:
        take_lease(session, OTHER, START, seen=None, number=2, found="")
    assert lease(resources.sessions).held_by == ME


@pytest.mark.parametrize("same_number", [False, True])
def test_nothing_is_written_once_another_has_the_lease(
    resources: Resources, same_number: bool
) -> None:
    """The number may come again: a database was set back to a copy from before it was taken."""
    ours = held(resources, ME)
    with ours.begin() as session:
        mark_for_rerun(session, CT.series_instance_uid, Rerun.REISSUE)
    with resources.sessions.begin() as session:
        number = 1 if same_number else 2
        take_lease(session, OTHER, START, seen=read_lease(session), number=number, found="")

    with pytest.raises(LeaseLost, match="other, process 2, folder /data"), ours.begin() as session:
        start_reruns(session, START)

    with resources.sessions() as session:
        assert session.get_one(Series, CT.series_instance_uid).state is SeriesState.ENCODED
    assert "other, process 2" in ours.lost


def test_a_start_gives_back_the_claims_of_earlier_holders_only(resources: Resources) -> None:
    ours = held(resources, ME)
    with ours.begin() as session:
        claim(session, due(session, "PACS", START, 1))
    later = held(resources, OTHER)
    with later.begin() as session:
        mark_for_rerun(session, CT.series_instance_uid, Rerun.REPROCESS)
        start_reruns(session, START)
        assert claim_next(session, START)
        claim(session, due(session, "PACS", START, 1))

    with later.begin() as session:
        assert [row.holder for row in session.scalars(select(Series))] == [2]
        recovered = recover(session, START)
    assert (recovered.series, recovered.deliveries) == (0, 1)
    assert sending(later) == [2]

    with later.begin() as session:  # the end
        recovered = recover(session, START, counted=False)
    assert (recovered.series, recovered.deliveries) == (1, 1)
    assert sending(later) == []


def sending(sessions: Sessions) -> list[int | None]:
    with sessions() as session:
        state = Delivery.state == DeliveryState.SENDING
        return list(session.scalars(select(Delivery.holder).where(state)))
