"""Results and their objects: rows that are made once and stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.schema import Result, ResultObject
from storage.series.lifecycle import SeriesTicket

REPORTS = ("report", "notice")  #: each `kind` that stands for a result
DOCUMENTS = (*REPORTS, "text-report", "key-images")  #: each `kind` that a later result supersedes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult:
    """An analysis to be kept; attributes as in :class:`storage.database.schema.Result`."""

    key: str
    model: str
    score: float | None
    positive: bool | None
    summary: str
    folder: str
    priors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObject:
    """One object of it; attributes as in :class:`storage.database.schema.ResultObject`."""

    sop_instance_uid: str
    kind: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """Where the report of a kept result is to be found in the PACS."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


def add_result(
    session: Session,
    ticket: SeriesTicket,
    result: NewResult,
    objects: Sequence[NewObject],
    now: datetime,
) -> None:
    """Enter a result, the next revision of its series, and its objects."""
    of_series = Result.series_instance_uid == ticket.series_instance_uid
    revisions = session.scalar(select(func.max(Result.revision)).where(of_series)) or 0
    session.add(
        Result(
            **asdict(result),
            series_instance_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            revision=revisions + 1,
            created_at=now,
        )
    )
    session.flush()
    session.add_all(
        ResultObject(**asdict(each), result_key=result.key, position=position)
        for position, each in enumerate(objects)
    )
    session.flush()


def has_result(session: Session, key: str) -> bool:
    """Say whether a result of that key is kept: then it is not made a second time."""
    return session.get(Result, key) is not None


def report_of(session: Session, key: str) -> KeptReport | None:
    """Find the report, or notice, of a kept result; None if it has none."""
    found = documents_of(session, key)
    return next((found[kind] for kind in REPORTS if kind in found), None)


def documents_of(session: Session, key: str) -> dict[str, KeptReport]:
    """Find the documents of a kept result, by kind."""
    found = session.scalars(
        select(ResultObject).where(ResultObject.result_key == key, ResultObject.kind.in_(DOCUMENTS))
    )
    return {
        each.kind: KeptReport(
            sop_class_uid=each.sop_class_uid,
            sop_instance_uid=each.sop_instance_uid,
            series_instance_uid=each.series_instance_uid,
        )
        for each in found
    }
