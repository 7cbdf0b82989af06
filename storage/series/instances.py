"""Record received instances, and reopen their series if they arrive after closing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import Instance, Result, Series
from storage.database.self_test_series import mark_as_self_test
from storage.database.watch_tables import SeriesEquipment
from storage.errors import StorageError
from storage.series.closings import note_late
from storage.series.condensed.rows import CondensedVersions
from storage.series.documents import keep_apart, leave_to_images
from storage.series.instance_facts import OF_THE_STUDY, EquipmentFacts, InstanceFacts
from storage.series.lifecycle import ENDED, locked, reopen
from storage.states import SeriesState

#: Rows by Series and SOP Instance UID: one for each version of the bytes under that UID.
Versions = dict[tuple[str, str], list[Instance]]


def record_instance(session: Session, facts: InstanceFacts, now: datetime) -> bool:
    """Record a kept instance, and its series if new; True if the instances in use change.

    Recording the same instance again changes nothing. An instance whose UID was received before
    with other bytes supersedes those, and is superseded by one received later than `now` (files
    found at the start are recorded with their own times). An instance that arrives after closing
    reopens the series, also a purged one; during ANALYSING, the series is reopened on leaving
    that state. The same instance, received again after its file was removed or while it was
    missed, changes nothing while the outcome stands; nor does it after its row was condensed.
    """
    return record_instances(session, [(facts, now)])[0]


def record_instances(
    session: Session, arrivals: Sequence[tuple[InstanceFacts, datetime]]
) -> list[bool]:
    """Record many instances, in order, each as by :func:`record_instance`, in few statements."""
    arrivals = keep_apart(session, arrivals)
    first = {facts.series_instance_uid: (facts, now) for facts, now in reversed(arrivals)}
    # images first: documents that came before them leave their series
    order = sorted(first, key=lambda uid: (first[uid][0].is_document, uid))
    series = {uid: _series(session, *first[uid]) for uid in order}
    versions = _versions(session, {facts.sop_instance_uid for facts, _ in arrivals})
    condensed = CondensedVersions(session, order)
    with session.no_autoflush:  # new rows are in `versions`; one flush writes them all
        changes = [
            _record(session, series[facts.series_instance_uid], versions, condensed, facts, now)
            for facts, now in arrivals
        ]
        condensed.write()
    session.flush()
    return changes


def known_among(session: Session, paths: Sequence[str]) -> set[str]:
    """Tell which of some paths are of recorded instances; a scan has to record every other file.

    A purged instance may have been received again since, so that its file counts as unknown,
    except while the files of its series are being removed.
    """
    kept = or_(Instance.purged_at.is_(None), Series.purging)
    return {
        path
        for batch in batched(paths)
        for path in session.scalars(
            select(Instance.path).join(Series).where(Instance.path.in_(batch), kept)
        )
    }


def kept_in(session: Session, place: str) -> dict[str, str]:
    """Find the kept instances of one folder: path to Series Instance UID.

    The bounds hold by any collation: the names of the folders are as long as one another, of
    hexadecimal digits.
    """
    rows = session.execute(
        select(Instance.path, Instance.series_instance_uid).where(
            Instance.path > f"{place}/", Instance.path < f"{place}/g", Instance.purged_at.is_(None)
        )
    )
    return dict(rows.all())


def kept_paths(session: Session, uids: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Find the kept files of some SOP Instance UIDs.

    Returns
    -------
    dict
        SOP Instance UID and SOP Class UID to the paths of the files.
    """
    paths: dict[tuple[str, str], list[str]] = defaultdict(list)
    for batch in batched(list(uids)):
        rows = session.scalars(
            select(Instance).where(
                Instance.sop_instance_uid.in_(batch), Instance.purged_at.is_(None)
            )
        )
        for row in rows:
            paths[row.sop_instance_uid, row.sop_class_uid].append(row.path)
    return paths


def kept_digests(session: Session, after: str, limit: int) -> list[tuple[str, str]]:
    """List paths and digests of kept instances, in order of their paths, those behind `after`."""
    rows = session.execute(
        select(Instance.path, Instance.digest)
        .where(Instance.purged_at.is_(None), Instance.path > after)
        .order_by(Instance.path)
        .limit(limit)
    )
    return [(path, digest) for path, digest in rows]


def has_kept_instances(session: Session) -> bool:
    """Tell whether the database knows any instance whose file should be there."""
    kept = select(Instance.path).where(Instance.purged_at.is_(None)).limit(1)
    return session.scalar(kept) is not None


def _series(session: Session, facts: InstanceFacts, now: datetime) -> Series:
    """Fetch the row of the series, locked; make it if there is none, in competition with others.

    Documents leave a series to its first image.
    """
    try:
        row = locked(session, facts.series_instance_uid)
    except StorageError:
        session.execute(_first_row(session, facts, now))
        row = locked(session, facts.series_instance_uid)
        if not (facts.is_document or facts.of_self_test):
            enter_equipment(session, facts.series_instance_uid, facts.equipment)
        if facts.of_self_test:
            mark_as_self_test(session, facts.series_instance_uid)
    if row.of_documents and not facts.is_document:
        leave_to_images(session, row, facts, now)
        enter_equipment(session, facts.series_instance_uid, facts.equipment)
    return row


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
            series_number=facts.series_number,
            of_documents=facts.is_document,
            first_at=now,
            last_at=now,
            since=now,
        )
        .on_conflict_do_nothing()
    )


def enter_equipment(session: Session, series_instance_uid: str, said: EquipmentFacts) -> None:
    """Enter what made a series that is locked; what is known already stands."""
    if session.get(SeriesEquipment, series_instance_uid) is None:
        session.add(
            SeriesEquipment(
                series_instance_uid=series_instance_uid, scanner=said.scanner, **asdict(said)
            )
        )


def _versions(session: Session, sop_instance_uids: Iterable[str]) -> Versions:
    """Load the versions received before under these UIDs."""
    versions: Versions = defaultdict(list)
    known = select(Instance).where(Instance.sop_instance_uid.in_(sop_instance_uids))
    for row in session.scalars(known):
        versions[row.series_instance_uid, row.sop_instance_uid].append(row)
    return versions


def _record(
    session: Session,
    series: Series,
    versions: Versions,
    condensed: CondensedVersions,
    facts: InstanceFacts,
    now: datetime,
) -> bool:
    rows = versions[facts.series_instance_uid, facts.sop_instance_uid]
    gone = condensed.take(facts.series_instance_uid, facts.sop_instance_uid, facts.digest)
    if gone is not None and gone.is_same:  # it has its row again, as it was
        row = _row(facts, gone.received_at)
        row.purged_at = gone.purged_at
        rows.append(row)
        session.add(row)
    is_known = bool(rows) or gone is not None
    series.instances += not is_known
    changed = _record_version(session, series, rows, facts, now)
    if changed:
        if not is_known and series.state is not SeriesState.RECEIVING:
            note_late(session, series.series_instance_uid, series.generation, now)
        _reopen_closed(session, series, now)
    if changed or series.state is SeriesState.RECEIVING:
        _update_series(series, facts, now)
    return changed


def _record_version(
    session: Session, series: Series, rows: list[Instance], facts: InstanceFacts, now: datetime
) -> bool:
    """Make the row of an instance, or put it into use again; True if it is now in use."""
    row = next((version for version in rows if version.digest == facts.digest), None)
    if row is not None and _is_repetition(row, now):
        return False
    if row is not None and _is_found_again(session, series, row, now):
        row.purged_at = None
        series.last_at = max(series.last_at, now)  # its files are kept as long as those of others
        return False
    if row is None:
        row = _row(facts, now)
        rows.append(row)
        session.add(row)
    others = [version for version in rows if version is not row]
    row.received_at, row.purged_at = now, None
    row.superseded = any(other.received_at > now for other in others)
    for other in others:
        other.superseded = other.superseded or not row.superseded
    return not row.superseded


def _is_repetition(row: Instance, now: datetime) -> bool:
    """Tell whether an instance received again changes nothing: it is kept, and in use or older."""
    return row.purged_at is None and (not row.superseded or row.received_at >= now)


def _is_found_again(session: Session, series: Series, row: Instance, now: datetime) -> bool:
    """Tell whether an instance whose file was gone is here again, and its series stands as it is.

    The file was marked as gone after the outcome was recorded: retention removed it, a folder was
    away, a file was lost. The same bytes are no news then, and reopen nothing. What was missed
    when the series was analysed counts as new; so does what comes again for a series that failed,
    unless its file was written before the mark.
    """
    gone_at = row.purged_at
    if gone_at is None or series.state not in ENDED:
        return False
    if row.superseded and row.received_at < now:  # other bytes are in use: these replace them
        return False
    result = session.get(Result, series.result_key) if series.result_key else None
    is_outcome = result is not None and not result.begun_on
    if result is not None and is_outcome and result.generation == series.generation:
        return result.created_at <= gone_at
    if now < gone_at:
        return series.since <= gone_at
    settled = series.state in {SeriesState.UNSUITABLE, SeriesState.FEEDBACK}
    return settled and series.since < gone_at


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
        acquisition_number=facts.slice.acquisition_number,
        images_in_acquisition=facts.slice.images_in_acquisition,
        instance_number=facts.slice.instance_number,
        frames=facts.slice.frames,
        plane=facts.slice.plane,
        height_mm=facts.slice.height_mm,
    )


def _reopen_closed(session: Session, row: Series, now: datetime) -> None:
    """Reopen a closed series, now or on the end of its analysis."""
    if row.state is SeriesState.ANALYSING:
        row.reopened = True
    elif row.state is not SeriesState.RECEIVING:
        reopen(session, row, now)


def _update_series(row: Series, facts: InstanceFacts, now: datetime) -> None:
    """Extend the time of reception; sender, patient and study are those of the latest instance.

    What an instance leaves empty stays what the others say.
    """
    values: dict[str, object] = {
        "first_at": min(row.first_at, now),
        "urgent": row.urgent or facts.urgent,
    }
    if now >= row.last_at:
        values |= {"last_at": now, "calling_ae": facts.calling_ae or row.calling_ae}
        of_the_study = (*OF_THE_STUDY, "series_number")
        values |= {name: getattr(facts, name) or getattr(row, name) for name in of_the_study}
    for name, value in values.items():
        if getattr(row, name) != value:  # setting an attribute is slow, even to the same value
            setattr(row, name, value)
