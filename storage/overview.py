"""Summarise series, deliveries, quarantine and refusals for the status of the node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Quarantine, Refusal, Result, ResultObject, Series
from storage.database.self_test_series import of_patients
from storage.results.answers import AnswerLine, answers_to
from storage.results.condensed_objects import NUMBER
from storage.results.named_answer import answer_of
from storage.states import UNDER_WAY, DeliveryState, Rerun, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """The deliveries of a result to one destination that share a state and a reason.

    Attributes
    ----------
    attempts
        Highest number of attempts of one of them.
    """

    destination: str
    state: DeliveryState
    reason: str
    count: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLine:
    """One series in the status.

    Attributes
    ----------
    result_key, result_generation, revision, score, positive, priors
        Of the latest result kept; None if there is none. While the next generation of the series
        is analysed, it is the result of an earlier one. A notice has no score.
    answer
        Of that result: above, indeterminate or below; empty without a score.
    wish
        The rerun that an operator has requested.
    deliveries
        Number of deliveries of that result in each state.
    remarks
        Deliveries with a reason, by destination.
    answers
        Of readers to its images and results, those that are not superseded.
    """

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    calling_ae: str
    state: SeriesState
    reason: str
    instances: int
    generation: int
    attempts: int
    first_at: datetime
    last_at: datetime
    since: datetime
    result_key: str | None
    result_generation: int | None
    revision: int | None
    score: float | None
    positive: bool | None
    answer: str
    priors: int | None
    wish: Rerun | None
    deliveries: Mapping[DeliveryState, int]
    remarks: tuple[Remark, ...]
    answers: tuple[AnswerLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLine:
    """One file in quarantine: it cannot be read as an instance."""

    path: str
    reason: str
    calling_ae: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalLine:
    """One kind of refusal, and how often it occurred."""

    calling_ae: str
    address: str
    what: str
    reason: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The node at a glance.

    Attributes
    ----------
    states, deliveries
        Total number in each state; states that do not occur are left out.
    series, quarantine, refusals
        The latest, newest first.
    """

    states: Mapping[SeriesState, int]
    deliveries: Mapping[DeliveryState, int]
    series: tuple[SeriesLine, ...]
    quarantine: tuple[QuarantineLine, ...]
    refusals: tuple[RefusalLine, ...]


def overview(session: Session, limit: int = 50) -> Overview:
    """Summarise the database; each list holds at most `limit` lines."""
    series = select(Series.state, func.count()).where(of_patients()).group_by(Series.state)
    deliveries = select(Delivery.state, func.count()).group_by(Delivery.state)
    return Overview(
        states=dict(session.execute(series).all()),
        deliveries=dict(session.execute(deliveries).all()),
        series=_series(session, limit),
        quarantine=quarantine_lines(session, limit),
        refusals=refusal_lines(session, limit),
    )


def _series(session: Session, limit: int) -> tuple[SeriesLine, ...]:
    latest = (
        select(Series, Result)
        .outerjoin(Result, Result.key == Series.result_key)
        .where(of_patients())
        .order_by(Series.last_at.desc(), Series.series_instance_uid)
        .limit(limit)
    )
    rows = session.execute(latest).all()
    keys = [series.result_key for series, _ in rows if series.result_key]
    remarks = _remarks(session, keys)
    answers: dict[str, list[AnswerLine]] = {}
    for answer in answers_to(session, [series.series_instance_uid for series, _ in rows]):
        if not answer.superseded:
            answers.setdefault(answer.series_instance_uid, []).append(answer)
    return tuple(
        _line(
            series,
            result,
            remarks.get(series.result_key or "", ()),
            answers.get(series.series_instance_uid, ()),
        )
        for series, result in rows
    )


def _line(
    series: Series,
    result: Result | None,
    remarks: Sequence[Remark],
    answers: Sequence[AnswerLine],
) -> SeriesLine:
    counts: Counter[DeliveryState] = Counter()
    for remark in remarks:
        counts[remark.state] += remark.count
    return SeriesLine(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        modality=series.modality,
        calling_ae=series.calling_ae,
        state=series.state,
        reason=series.reason,
        instances=series.instances,
        generation=series.generation,
        attempts=series.attempts,
        first_at=series.first_at,
        last_at=series.last_at,
        since=series.since,
        result_key=series.result_key,
        result_generation=result.generation if result else None,
        revision=result.revision if result else None,
        score=result.score if result else None,
        positive=result.positive if result else None,
        answer=answer_of(result.score, result.positive) if result else "",
        priors=result.priors if result else None,
        wish=series.rerun,
        deliveries=dict(sorted(counts.items())),
        remarks=tuple(remark for remark in remarks if remark.reason),
        answers=tuple(answers),
    )


def _remarks(session: Session, keys: Sequence[str]) -> dict[str, list[Remark]]:
    """Count the deliveries of results by destination, state and reason; by result key."""
    group = (ResultObject.result_key, Delivery.destination, Delivery.state, Delivery.reason)
    rows = session.execute(
        select(*group, func.sum(NUMBER), func.max(Delivery.attempts))
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .where(ResultObject.result_key.in_(keys))
        .group_by(*group)
        .order_by(*group)
    )
    remarks: dict[str, list[Remark]] = {}
    for key, destination, state, reason, count, attempts in rows:
        remarks.setdefault(key, []).append(
            Remark(
                destination=destination,
                state=state,
                reason=reason,
                count=count,
                attempts=attempts,
            )
        )
    return remarks


def waiting_remarks(session: Session, uids: Sequence[str]) -> dict[str, list[Remark]]:
    """Say of series why deliveries of their latest results are tried again; by series."""
    rows = session.execute(
        select(Series.series_instance_uid, Series.result_key).where(
            Series.series_instance_uid.in_(uids), Series.result_key.is_not(None)
        )
    )
    keys = {uid: key for uid, key in rows if key}
    remarks = _remarks(session, list(keys.values()))
    return {
        uid: [one for one in remarks.get(key, ()) if one.reason and one.state in UNDER_WAY]
        for uid, key in keys.items()
    }


def quarantine_lines(session: Session, limit: int) -> tuple[QuarantineLine, ...]:
    """List the files in quarantine, the latest first."""
    rows = session.scalars(select(Quarantine).order_by(Quarantine.at.desc()).limit(limit))
    return tuple(
        QuarantineLine(path=row.path, reason=row.reason, calling_ae=row.calling_ae, at=row.at)
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineCount:
    """Files in quarantine of one sender, for one reason."""

    calling_ae: str
    reason: str
    files: int
    last_at: datetime


def quarantine_counts(session: Session, limit: int) -> tuple[int, tuple[QuarantineCount, ...]]:
    """Count the files in quarantine: all of them, and by sender and reason, the most first."""
    rows = session.execute(
        select(Quarantine.calling_ae, Quarantine.reason, func.count(), func.max(Quarantine.at))
        .group_by(Quarantine.calling_ae, Quarantine.reason)
        .order_by(func.count().desc(), Quarantine.calling_ae, Quarantine.reason)
        .limit(limit)
    )
    return session.scalar(select(func.count()).select_from(Quarantine)) or 0, tuple(
        QuarantineCount(calling_ae=title, reason=reason, files=count, last_at=at)
        for title, reason, count, at in rows
    )


def refusal_lines(session: Session, limit: int) -> tuple[RefusalLine, ...]:
    """List what was refused, the latest first."""
    rows = session.scalars(select(Refusal).order_by(Refusal.last_at.desc()).limit(limit))
    return tuple(
        RefusalLine(
            calling_ae=row.calling_ae,
            address=row.address,
            what=row.what,
            reason=row.reason,
            count=row.count,
            last_at=row.last_at,
        )
        for row in rows
    )
