"""Random lives of a series: whatever happens, every instance ends up in an analysis."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Delivery, Instance, Result, ResultObject, Series
from storage.delivery.notices import Ending, NewNotice, end_series
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.errors import StaleState
from storage.maintenance.recovery import recover
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance, record_instances
from storage.series.lifecycle import (
    ENDED,
    SeriesTicket,
    advance,
    claim_next,
    close,
    leave,
    receiving,
)
from storage.series.rerun import mark_for_rerun, start_reruns
from storage.states import SERIES_STEPS, UNDER_WAY, DeliveryState, Rerun, SeriesState

START = datetime(2024, 5, 1, tzinfo=UTC)
S, D = SeriesState, DeliveryState
UID = "9"

WAYS = {"give back": S.STABLE, "unsuitable": S.UNSUITABLE, "failed": S.FAILED}


def facts(sop_instance_uid: str, digest: str) -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=UID,
        study_instance_uid="8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{sop_instance_uid}-{digest}",
        digest=digest,
        bytes=1,
    )


def kept(session: Session, ticket: SeriesTicket, now: datetime) -> SeriesState:
    """Keep a result whose key follows from the instances, as in the node."""
    key = ".".join(f"{uid}{digest}" for uid, digest in contents(ticket))
    report = NewObject(
        sop_instance_uid=f"of {key}",
        kind="report",
        sop_class_uid="1",
        series_instance_uid="2.25.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=key,
    )
    result = NewResult(key=key, model="m", score=0.5, positive=True, summary="{}", folder=key)
    return keep_results(session, ticket, result, [report], destinations=["A", "B"], now=now)


def noticed(session: Session, ticket: SeriesTicket, now: datetime) -> SeriesState:
    """Keep a notice in place of a result."""
    key = f"no {ticket.generation}"
    result = NewResult(key=key, model="", score=None, positive=None, summary="{}", folder=key)
    notice = NewObject(
        sop_instance_uid=f"of {key}",
        kind="notice",
        sop_class_uid="1",
        series_instance_uid="2.25.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=key,
    )
    ending = Ending(state=S.FAILED, reason="x", notice=NewNotice(result=result, objects=[notice]))
    return end_series(session, ticket, ending, ["A"], now)


def contents(ticket: SeriesTicket) -> list[tuple[str, str]]:
    return list(zip(ticket.sop_instance_uids, ticket.digests, strict=True))


class Life(RuleBasedStateMachine):
    """One series, its sender, workers that may be lost, two destinations, and a person."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = open_database("sqlite://")
        Base.metadata.create_all(self.engine)
        self.session = Session(self.engine)
        self.now = START
        self.tickets: list[SeriesTicket] = []
        self.holder: SeriesTicket | None = None  # whose claim holds
        self.analysed: list[tuple[str, str]] = []  # what the latest word on the series is about
        self.generation = 0
        self.rerun: Rerun | None = None

    def teardown(self) -> None:
        self.session.close()
        self.engine.dispose()

    def series(self) -> Series | None:
        self.now += timedelta(seconds=1)
        return self.session.get(Series, UID, populate_existing=True)

    def state(self) -> SeriesState | None:
        series = self.series()
        return series and series.state

    def in_use(self) -> list[tuple[str, str]]:
        columns = (Instance.sop_instance_uid, Instance.digest)
        return sorted(
            map(tuple, self.session.execute(select(*columns).where(~Instance.superseded)))
        )

    @rule(uid=st.sampled_from("123"), digest=st.sampled_from("ab"))
    def receive(self, uid: str, digest: str) -> None:
        before, used = self.state(), self.in_use()
        changed = record_instance(self.session, facts(uid, digest), self.now)
        assert changed == (self.in_use() != used)
        if changed and before is not S.ANALYSING:
            assert self.state() is S.RECEIVING

    @rule()
    def close(self) -> None:
        for quiet in receiving(self.session):
            close(self.session, quiet, self.now)
            assert self.state() is S.STABLE

    @rule()
    def claim(self) -> None:
        before = self.state()
        ticket = claim_next(self.session, self.now)
        assert (ticket is not None) == (before is S.STABLE)
        if ticket is not None:
            assert contents(ticket) == self.in_use()
            self.tickets.append(ticket)
            self.holder = ticket

    @rule(pick=st.integers(0, 99), way=st.sampled_from([*WAYS, "keep", "notice"]))
    def finish(self, pick: int, way: str) -> None:
        if not self.tickets:
            return
        ticket = self.tickets[-1 - pick % min(3, len(self.tickets))]
        before, results = self.state(), self.results()
        try:
            new = self.leave(ticket, way)
        except StaleState:
            assert ticket is not self.holder
            assert (self.state(), self.results()) == (before, results)
            return
        assert ticket is self.holder
        assert new is self.state()
        self.holder = None
        if new in ENDED:
            self.analysed = contents(ticket)

    def leave(self, ticket: SeriesTicket, way: str) -> SeriesState:
        if way == "keep":
            return kept(self.session, ticket, self.now)
        if way == "notice":
            return noticed(self.session, ticket, self.now)
        return leave(self.session, ticket, self.now, new=WAYS[way], reason=way)

    def results(self) -> int:
        return self.session.scalar(select(func.count()).select_from(Result)) or 0

    @rule(destination=st.sampled_from("AB"), outcome=st.sampled_from([D.ACCEPTED, D.REFUSED]))
    def send(self, destination: str, outcome: DeliveryState) -> None:
        taken = claim(self.session, due(self.session, destination, self.now, 99))
        settle(
            self.session,
            [Settlement(id=delivery.id, state=outcome) for delivery in taken],
            self.now,
        )

    @rule(rerun=st.sampled_from(Rerun))
    def ask_again(self, rerun: Rerun) -> None:
        if self.state() in ENDED:
            mark_for_rerun(self.session, UID, rerun)
            assert start_reruns(self.session, self.now) == [UID]
            assert self.state() is S.STABLE
            self.rerun = rerun

    @rule()
    def restart(self) -> None:
        recover(self.session, self.now)
        assert self.state() is not S.ANALYSING
        self.holder = None

    @invariant()
    def no_instance_is_left_out(self) -> None:
        series = self.series()
        if series is not None:
            assert series.instances == len(self.in_use())
            assert series.state not in ENDED or self.analysed == self.in_use()
            assert (series.state is S.ANALYSING) == (self.holder is not None)

    @invariant()
    def a_rerun_lasts_until_there_is_an_answer_or_a_late_instance(self) -> None:
        series = self.series()
        if series is None or series.state in {S.RECEIVING, *ENDED}:
            self.rerun = None
        assert series is None or series.rerun is self.rerun

    @invariant()
    def generations_only_rise(self) -> None:
        series = self.series()
        if series is not None:
            assert series.generation >= self.generation
            self.generation = series.generation

    @invariant()
    def delivered_means_that_everything_has_arrived(self) -> None:
        series = self.series()
        if series is None or series.state not in {S.ENCODED, S.DELIVERED}:
            return
        states = self.session.scalars(
            select(Delivery.state)
            .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
            .where(ResultObject.result_key == series.result_key)
        ).all()
        if series.state is S.DELIVERED:
            assert set(states) == {D.ACCEPTED}
        else:
            assert set(states) & UNDER_WAY


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

arrivals = st.lists(
    st.tuples(st.sampled_from("12"), st.sampled_from("abc"), st.integers(0, 5)), max_size=8
)


@settings(max_examples=30, deadline=None)
@given(arrivals=arrivals, cut=st.integers(0, 8))
def test_instances_noted_together_are_as_if_noted_one_by_one(
    arrivals: list[tuple[str, str, int]], cut: int
) -> None:
    notes = [(facts(uid, digest), START + timedelta(seconds=t)) for uid, digest, t in arrivals]
    outcomes = []
    for together in (False, True):
        engine = open_database("sqlite://")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            answers = [record_instance(session, *note) for note in notes[:cut]]
            for quiet in receiving(session):  # the rest is late
                close(session, quiet, START)
            if together:
                answers += record_instances(session, notes[cut:])
            else:
                answers += [record_instance(session, *note) for note in notes[cut:]]
            session.expire_all()
            outcomes.append((answers, rows(session, Series), rows(session, Instance)))
        engine.dispose()
    assert outcomes[0] == outcomes[1]


def rows(session: Session, table: type[Base]) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in session.execute(select(*table.__table__.columns)))


states = st.sampled_from(SeriesState)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(states, states), max_size=40))
def test_row_only_ever_takes_listed_steps(
    steps: list[tuple[SeriesState, SeriesState]],
) -> None:
    engine = open_database("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        record_instance(session, facts("1", "a"), START)
        here = SeriesState.RECEIVING
        for old, new in steps:
            if new not in SERIES_STEPS[old]:
                with pytest.raises(ValueError, match="no step"):
                    advance(session, UID, old=old, new=new, now=START)
            elif old is not here:
                with pytest.raises(StaleState, match="no longer is"):
                    advance(session, UID, old=old, new=new, now=START)
            else:
                advance(session, UID, old=old, new=new, now=START)
                here = new
            assert session.get_one(Series, UID, populate_existing=True).state is here
    engine.dispose()
