"""Rows of the self-test: requests, runs, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from storage.database.watch_tables import SelfTest
from storage.errors import StaleState
from storage.series.lifecycle import SeriesTicket, advance, leave
from storage.states import SelfTestState, SeriesState

S = SelfTestState

MOST_KEPT = 1_000  #: runs
ENDED = (S.PASSED, S.FAILED)  #: states of runs that say something of the node


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRun:
    """One run; attributes as in `storage.database.watch_tables.SelfTest`."""

    id: int
    state: SelfTestState
    requested_at: datetime
    requested_by: str
    began_at: datetime | None
    ended_at: datetime | None
    series_instance_uid: str
    reason: str
    model: str
    basis: str
    found: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestOutcome:
    """What a run came to; attributes as in `storage.database.watch_tables.SelfTest`."""

    state: SelfTestState
    reason: str = ""
    basis: str = ""
    verdict: str = ""


def request_self_test(session: Session, now: datetime, by: str = "") -> int:
    """Ask for a run; return its number. One that is asked for already serves all who ask.

    Of old runs those go with which no other is compared.
    """
    waiting = session.scalar(select(SelfTest.id).where(SelfTest.state == S.REQUESTED))
    if waiting is not None:
        return waiting
    row = SelfTest(state=S.REQUESTED, requested_at=now, requested_by=by)
    session.add(row)
    session.flush()
    firsts = select(func.min(SelfTest.id)).where(SelfTest.state == S.PASSED)
    session.execute(
        delete(SelfTest).where(
            SelfTest.id <= row.id - MOST_KEPT,
            SelfTest.state != S.RUNNING,
            SelfTest.id.not_in(firsts.group_by(SelfTest.basis)),
        )
    )
    return row.id


def begin_self_test(
    session: Session, number: int, series_instance_uid: str, now: datetime
) -> SelfTestRun:
    """Begin a run that was asked for: REQUESTED to RUNNING.

    Raises
    ------
    StaleState
        If it is not waiting any more.
    """
    _move(
        session,
        number,
        S.REQUESTED,
        state=S.RUNNING,
        began_at=now,
        series_instance_uid=series_instance_uid,
    )
    return self_test(session, number)


def end_self_test(session: Session, number: int, outcome: SelfTestOutcome, now: datetime) -> None:
    """End a run: RUNNING to PASSED, FAILED or CANCELED.

    Raises
    ------
    StaleState
        If it is not running any more.
    """
    _move(
        session,
        number,
        S.RUNNING,
        state=outcome.state,
        ended_at=now,
        reason=outcome.reason,
        basis=outcome.basis,
        verdict=outcome.verdict,
    )


def _move(session: Session, number: int, old: SelfTestState, **values: object) -> None:
    moved = session.scalar(
        update(SelfTest)
        .where(SelfTest.id == number, SelfTest.state == old)
        .values(values)
        .returning(SelfTest.id)
    )
    if moved is None:
        raise StaleState(f"expected self-test {number} to be {old}, it no longer is")


def cancel_self_tests(session: Session, now: datetime, reason: str) -> None:
    """End every run that an earlier process of the node has begun."""
    session.execute(
        update(SelfTest)
        .where(SelfTest.state == S.RUNNING)
        .values(state=S.CANCELED, ended_at=now, reason=reason)
    )


def keep_self_test_result(
    session: Session, ticket: SeriesTicket, model: str, found: str, now: datetime
) -> SeriesState:
    """Enter what the analysis of a self-test found: its series ANALYSING to DELIVERED.

    There is no result, so nothing is ever delivered, listed, counted or compared with. Returns and
    raises as :func:`storage.series.lifecycle.leave`, DELIVERED for ENCODED.
    """
    state = leave(session, ticket, now, new=SeriesState.ENCODED)
    if state is not SeriesState.ENCODED:
        return state
    uid = ticket.series_instance_uid
    advance(session, uid, old=SeriesState.ENCODED, new=SeriesState.DELIVERED, now=now)
    session.execute(
        update(SelfTest)
        .where(SelfTest.series_instance_uid == uid, SelfTest.state == S.RUNNING)
        .values(model=model, found=found)
    )
    return SeriesState.DELIVERED


def self_test(session: Session, number: int) -> SelfTestRun:
    """Read one run, as it is now."""
    return _run(session.get_one(SelfTest, number, populate_existing=True))


def is_self_test_running(session: Session) -> bool:
    """Tell whether a run is under way."""
    return bool(session.scalar(select(exists().where(SelfTest.state == S.RUNNING))))


def requested_self_test(session: Session) -> SelfTestRun | None:
    """Find the run that is asked for, if there is one."""
    row = session.scalar(
        select(SelfTest).where(SelfTest.state == S.REQUESTED).order_by(SelfTest.requested_at)
    )
    return None if row is None else _run(row)


def latest_self_tests(session: Session, limit: int) -> list[SelfTestRun]:
    """List the runs that have passed or failed, the latest first."""
    rows = session.scalars(
        select(SelfTest)
        .where(SelfTest.state.in_(ENDED))
        .order_by(SelfTest.ended_at.desc(), SelfTest.id.desc())
        .limit(limit)
    )
    return [_run(row) for row in rows]


def latest_passed(session: Session) -> SelfTestRun | None:
    """Find the latest run that has passed."""
    row = session.scalar(
        select(SelfTest)
        .where(SelfTest.state == S.PASSED)
        .order_by(SelfTest.ended_at.desc(), SelfTest.id.desc())
        .limit(1)
    )
    return None if row is None else _run(row)


def first_passed(session: Session, basis: str) -> SelfTestRun | None:
    """Find the first run of a basis that has passed: later ones are compared with it."""
    row = session.scalar(
        select(SelfTest)
        .where(SelfTest.state == S.PASSED, SelfTest.basis == basis)
        .order_by(SelfTest.ended_at, SelfTest.id)
        .limit(1)
    )
    return None if row is None else _run(row)


def _run(row: SelfTest) -> SelfTestRun:
    return SelfTestRun(
        id=row.id,
        state=row.state,
        requested_at=row.requested_at,
        requested_by=row.requested_by,
        began_at=row.began_at,
        ended_at=row.ended_at,
        series_instance_uid=row.series_instance_uid,
        reason=row.reason,
        model=row.model,
        basis=row.basis,
        found=row.found,
        verdict=row.verdict,
    )
