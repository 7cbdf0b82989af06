"""Add results and their objects, and find their documents; rows are written once and stay."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.schema import Result, ResultObject, Series
from storage.series.lifecycle import SeriesTicket


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult:
    """A result to be kept; attributes as in :class:`storage.database.schema.Result`."""

    key: str
    model: str
    score: float | None
    positive: bool | None
    summary: str
    folder: str
    inputs: str = ""
    priors: int = 0
    begun_on: str = ""
    scanner: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObject:
    """One object of a result; attributes as in :class:`storage.database.schema.ResultObject`."""

    sop_instance_uid: str
    kind: str
    sop_class_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: str
    only_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """UIDs by which a document of a kept result is found in the PACS."""

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
    _add_objects(session, result.key, objects)


def complete_result(session: Session, row: Result, objects: Sequence[NewObject]) -> None:
    """Enter the objects that a result which was begun lacks; it is whole then."""
    of_result = ResultObject.result_key == row.key
    begun = set(session.scalars(select(ResultObject.sop_instance_uid).where(of_result)))
    _add_objects(session, row.key, objects, without=begun)
    row.begun_on = ""
    session.flush()


def _add_objects(
    session: Session, key: str, objects: Sequence[NewObject], without: Set[str] = frozenset()
) -> None:
    session.add_all(
        ResultObject(**asdict(item), result_key=key, position=position)
        for position, item in enumerate(objects)
        if item.sop_instance_uid not in without
    )
    session.flush()


def latest_result(session: Session, series_instance_uid: str) -> str | None:
    """Give the key of the latest result of a series; None if there is none."""
    row = session.get(Series, series_instance_uid)
    return row.result_key if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunResult:
    """A result of which only the objects that come first are kept; some may have been sent.

    Attributes
    ----------
    begun_on
        Occasion of its making.
    predecessor_key
        The latest result before it, if any.
    """

    key: str
    begun_on: str
    revision: int
    folder: str
    predecessor_key: str | None


def begun_result(session: Session, ticket: SeriesTicket) -> BegunResult | None:
    """Find the result that an earlier attempt at the same generation has begun."""
    row = session.get(Result, ticket.predecessor_key) if ticket.predecessor_key else None
    if row is None or not row.begun_on or row.generation != ticket.generation or row.purged_at:
        return None
    before = (
        select(Result.key)
        .where(Result.series_instance_uid == row.series_instance_uid)
        .where(Result.revision < row.revision)
        .order_by(Result.revision.desc())
        .limit(1)
    )
    return BegunResult(
        key=row.key,
        begun_on=row.begun_on,
        revision=row.revision,
        folder=row.folder,
        predecessor_key=session.scalar(before),
    )


def keys_of(session: Session, series_instance_uids: Collection[str]) -> list[str]:
    """List the keys of all results of series, in the order in which they were made."""
    of_series = Result.series_instance_uid.in_(series_instance_uids)
    query = select(Result.key).where(of_series).order_by(Result.created_at, Result.key)
    return list(session.scalars(query))


def is_whole(session: Session, key: str) -> bool:
    """Tell whether a result of that key is kept, and whole: then none is made a second time."""
    row = session.get(Result, key)
    return row is not None and not row.begun_on


def is_begun(session: Session, key: str) -> bool:
    """Tell whether a result of that key is begun, and not whole yet."""
    row = session.get(Result, key)
    return row is not None and bool(row.begun_on)


def kept_folders(session: Session, after: str, limit: int) -> list[str]:
    """List the folders of kept results in order, those behind `after`."""
    kept = (Result.purged_at.is_(None), Result.folder > after)
    folders = select(Result.folder).where(*kept).order_by(Result.folder).limit(limit)
    return list(session.scalars(folders))


def kept_object_paths(session: Session, key: str) -> list[str]:
    """List the files that the objects of a result should have: none of a purged result."""
    return list(
        session.scalars(
            select(ResultObject.path)
            .join(Result)
            .where(ResultObject.result_key == key, Result.purged_at.is_(None))
        )
    )


def report_of(session: Session, key: str, kinds: Sequence[str]) -> KeptReport | None:
    """Find the document that stands for a kept result; None if there is none.

    Parameters
    ----------
    kinds
        Kinds of object that may stand for a result, the preferred first.
    """
    documents = documents_of(session, key, kinds)
    return next((documents[kind] for kind in kinds if kind in documents), None)


def documents_of(session: Session, key: str, kinds: Collection[str]) -> dict[str, KeptReport]:
    """Find the documents of a kept result, by kind.

    Parameters
    ----------
    kinds
        Kinds of object that are documents; a result has at most one object of each.
    """
    rows = session.scalars(
        select(ResultObject).where(ResultObject.result_key == key, ResultObject.kind.in_(kinds))
    )
    return {
        row.kind: KeptReport(
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
        )
        for row in rows
    }
