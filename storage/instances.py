"""Instance rows: what has been received, and what it means for its series."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Insert, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.schema import Instance, Series
from storage.series import locked, reopen
from storage.states import SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """What is known of a kept instance.

    Attributes
    ----------
    path, digest, bytes
        As in :class:`storage.files.KeptFile`.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    calling_ae: str
    path: str
    digest: str
    bytes: int


def note_instance(session: Session, facts: InstanceFacts, now: datetime) -> bool:
    """Enter a kept instance, and its series with it; True if that changes what is analysed.

    Noting the same instance again changes nothing. An instance whose UID has come before with
    other bytes supersedes those, and is superseded by what came later than `now` (files found
    at the start are noted with the times of their own). An instance that comes after the series
    was closed opens it again; during ANALYSING, it has that done on leaving that state.
    """
    session.execute(_first_row(session, facts, now))
    row = locked(session, facts.series_instance_uid)
    changed = _enter(session, facts, now)
    if changed:
        row.instances = _in_use(session, row)
        _late(session, row, now)
    if row.state is SeriesState.RECEIVING or changed:
        _extend(row, facts, now)
    session.flush()
    return changed


def known_paths(session: Session) -> set[str]:
    """Paths of all instances entered: what a scan finds beside them is to be noted."""
    return set(session.scalars(select(Instance.path)))


def _first_row(session: Session, facts: InstanceFacts, now: datetime) -> Insert:
    """Insert the series unless it is there, whoever is quicker."""
    postgres = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert if postgres else sqlite.insert
    return (
        insert(Series)
        .values(
            series_instance_uid=facts.series_instance_uid,
            study_instance_uid=facts.study_instance_uid,
            modality=facts.modality,
            sop_class_uid=facts.sop_class_uid,
            calling_ae=facts.calling_ae,
            first_at=now,
            last_at=now,
            since=now,
        )
        .on_conflict_do_nothing()
    )


def _enter(session: Session, facts: InstanceFacts, now: datetime) -> bool:
    """Make the row of an instance, or bring it back; True if it is now the one in use."""
    same_uid = (
        Instance.series_instance_uid == facts.series_instance_uid,
        Instance.sop_instance_uid == facts.sop_instance_uid,
        Instance.digest != facts.digest,
    )
    overtaken = bool(session.scalar(select(exists().where(*same_uid, Instance.received_at > now))))
    row = session.get(Instance, (facts.sop_instance_uid, facts.digest))
    if row is None:
        row = _row(facts, now)
        session.add(row)
    elif not row.superseded or row.received_at >= now:
        return False
    row.received_at, row.superseded = now, overtaken
    session.flush()
    if not overtaken:
        session.execute(update(Instance).where(*same_uid).values(superseded=True))
    return not overtaken


def _row(facts: InstanceFacts, now: datetime) -> Instance:
    of_series = {"study_instance_uid", "modality"}
    values = {name: value for name, value in asdict(facts).items() if name not in of_series}
    return Instance(**values, received_at=now)


def _in_use(session: Session, row: Series) -> int:
    in_use = select(func.count()).where(
        Instance.series_instance_uid == row.series_instance_uid, ~Instance.superseded
    )
    return session.scalar(in_use) or 0


def _late(session: Session, row: Series, now: datetime) -> None:
    """Open the series again, now or when its analysis is over."""
    if row.state is SeriesState.ANALYSING:
        row.reopened = True
    elif row.state is not SeriesState.RECEIVING:
        reopen(session, row, now)


def _extend(row: Series, facts: InstanceFacts, now: datetime) -> None:
    """Stretch the time in which the series came."""
    row.first_at = min(row.first_at, now)
    if now >= row.last_at:
        row.last_at, row.calling_ae = now, facts.calling_ae or row.calling_ae
