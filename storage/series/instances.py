"""Instance rows: what has been received, and what it means for its series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Series
from storage.errors import StorageError
from storage.series.lifecycle import locked, reopen
from storage.states import SeriesState

#: Rows by Series and SOP Instance UID: one for each kind of bytes that came under that UID.
Versions = dict[tuple[str, str], list[Instance]]

MAXIMUM_PARAMETERS = 500  #: of one statement; databases have a limit
OF_THE_STUDY = ("patient_key", "birth_digest", "study_date", "study_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """What is known of a kept instance.

    Attributes
    ----------
    path, digest, bytes
        As in :class:`storage.files.folder.KeptFile`.
    patient_key, birth_digest, study_date, study_time
        As in :class:`storage.database.schema.Series`.
    urgent
        Whether it is to be worked on before others.
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
    patient_key: str = ""
    birth_digest: str = ""
    study_date: str = ""
    study_time: str = ""
    urgent: bool = False


def record_instance(session: Session, facts: InstanceFacts, now: datetime) -> bool:
    """Enter a kept instance, and its series with it; True if that changes what is analysed.

    Noting the same instance again changes nothing. An instance whose UID has come before with
    other bytes supersedes those, and is superseded by what came later than `now` (files found
    at the start are noted with the times of their own). An instance that comes after the series
    was closed opens it again, also one that was purged; during ANALYSING, it has that done on
    leaving that state.
    """
    return record_instances(session, [(facts, now)])[0]


def record_instances(
    session: Session, arrivals: Sequence[tuple[InstanceFacts, datetime]]
) -> list[bool]:
    """Enter many instances, in order, each as :func:`record_instance` does, in few statements."""
    first = {facts.series_instance_uid: (facts, now) for facts, now in reversed(arrivals)}
    series = {uid: _series(session, *first[uid]) for uid in sorted(first)}
    versions = _versions(session, {facts.sop_instance_uid for facts, _ in arrivals})
    with session.no_autoflush:  # what is new is in `versions`; one flush writes it all
        answers = [
            _note(session, series[facts.series_instance_uid], versions, facts, now)
            for facts, now in arrivals
        ]
    session.flush()
    return answers


def known_paths(session: Session) -> set[str]:
    """Paths of all instances entered: what a scan finds beside them is to be noted.

    What was purged may have come again since; only while its file is being removed may it be
    found there still.
    """
    kept = or_(Instance.purged_at.is_(None), Series.purging)
    return set(session.scalars(select(Instance.path).join(Series).where(kept)))


def kept_paths(session: Session, uids: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Find what is kept of some SOP Instance UIDs.

    Returns
    -------
    dict
        SOP Instance UID and SOP Class UID to the paths of the files.
    """
    paths: dict[tuple[str, str], list[str]] = defaultdict(list)
    wanted = list(uids)
    for start in range(0, len(wanted), MAXIMUM_PARAMETERS):
        rows = session.scalars(
            select(Instance).where(
                Instance.sop_instance_uid.in_(wanted[start : start + MAXIMUM_PARAMETERS]),
                Instance.purged_at.is_(None),
            )
        )
        for row in rows:
            paths[row.sop_instance_uid, row.sop_class_uid].append(row.path)
    return paths


def _series(session: Session, facts: InstanceFacts, now: datetime) -> Series:
    """Fetch the row of the series, locked; make it if there is none, whoever is quicker."""
    try:
        return locked(session, facts.series_instance_uid)
    except StorageError:
        session.execute(_first_row(session, facts, now))
        return locked(session, facts.series_instance_uid)


def _first_row(session: Session, facts: InstanceFacts, now: datetime) -> Insert:
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
            **{name: getattr(facts, name) for name in OF_THE_STUDY},
            first_at=now,
            last_at=now,
            since=now,
        )
        .on_conflict_do_nothing()
    )


def _versions(session: Session, sop_instance_uids: Iterable[str]) -> Versions:
    """Load what has come under these UIDs before."""
    versions: Versions = defaultdict(list)
    known = select(Instance).where(Instance.sop_instance_uid.in_(sop_instance_uids))
    for row in session.scalars(known):
        versions[row.series_instance_uid, row.sop_instance_uid].append(row)
    return versions


def _note(
    session: Session, series: Series, versions: Versions, facts: InstanceFacts, now: datetime
) -> bool:
    changed = _enter(session, series, versions, facts, now)
    if changed:
        _late(session, series, now)
    if changed or series.state is SeriesState.RECEIVING:
        _extend(series, facts, now)
    return changed


def _enter(
    session: Session, series: Series, versions: Versions, facts: InstanceFacts, now: datetime
) -> bool:
    """Make the row of an instance, or bring it back; True if it is now the one in use."""
    rows = versions[facts.series_instance_uid, facts.sop_instance_uid]
    series.instances += not rows
    row = next((each for each in rows if each.digest == facts.digest), None)
    if row is not None and _known(row, now):
        return False
    if row is None:
        row = _row(facts, now)
        rows.append(row)
        session.add(row)
    others = [each for each in rows if each is not row]
    row.received_at, row.purged_at = now, None
    row.superseded = any(each.received_at > now for each in others)
    for other in others:
        other.superseded = other.superseded or not row.superseded
    return not row.superseded


def _known(row: Instance, now: datetime) -> bool:
    """Say whether an instance that comes again brings nothing: it is kept, and in use or older."""
    return row.purged_at is None and (not row.superseded or row.received_at >= now)


def _row(facts: InstanceFacts, now: datetime) -> Instance:
    return Instance(
        sop_instance_uid=facts.sop_instance_uid,
        digest=facts.digest,
        series_instance_uid=facts.series_instance_uid,
        sop_class_uid=facts.sop_class_uid,
        transfer_syntax_uid=facts.transfer_syntax_uid,
        path=facts.path,
        bytes=facts.bytes,
        calling_ae=facts.calling_ae,
        received_at=now,
    )


def _late(session: Session, row: Series, now: datetime) -> None:
    """Open the series again, now or when its analysis is over."""
    if row.state is SeriesState.ANALYSING:
        row.reopened = True
    elif row.state is not SeriesState.RECEIVING:
        reopen(session, row, now)


def _extend(row: Series, facts: InstanceFacts, now: datetime) -> None:
    """Stretch the time in which the series came; the latest instance says whose it is."""
    found: dict[str, object] = {
        "first_at": min(row.first_at, now),
        "urgent": row.urgent or facts.urgent,
    }
    if now >= row.last_at:
        found |= {"last_at": now, "calling_ae": facts.calling_ae or row.calling_ae}
        found |= {name: getattr(facts, name) for name in OF_THE_STUDY}
    for name, value in found.items():
        if getattr(row, name) != value:  # to set it, even to what it was, takes long
            setattr(row, name, value)
