"""Samples of scanners, what was found changed, and from when on a scanner has its reference."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Result, Series
from storage.database.watch_tables import (
    DriftBaseline,
    DriftFinding,
    DriftSample,
    SelfTestSeries,
    SeriesEquipment,
)
from storage.series.instance_facts import EquipmentFacts
from storage.series.instances import enter_equipment

MOST_SCANNERS = 500  #: that are listed
MOST_COUNTED = 10_000  #: series of a scanner
MOST_FINDINGS = 1_000  #: that are listed, the latest; and of those accepted, that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something of a scanner that has changed, and that nobody has accepted yet."""

    id: int
    scanner: str
    what: str
    text: str
    at: datetime
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerSeen:
    """A scanner with its samples since its reference begins.

    Attributes
    ----------
    samples
        `MOST_COUNTED` stands for any more.
    """

    scanner: str
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Figures of one series; attributes as in `storage.database.watch_tables.DriftSample`."""

    figures: Mapping[str, Any]
    basis: str = ""


def equipment_of(session: Session, series_instance_uid: str) -> EquipmentFacts | None:
    """Read what made a series; None if that is not known."""
    row = session.get(SeriesEquipment, series_instance_uid)
    if row is None:
        return None
    return EquipmentFacts(
        manufacturer=row.manufacturer,
        model=row.model,
        station=row.station,
        kernel=row.kernel,
        software=row.software,
    )


def judged_equipment(
    session: Session, scanner: str, series_instance_uid: str
) -> list[tuple[str, str]]:
    """List kernels and software versions of the series of a scanner that were judged before.

    Those have a sample, or a result that was made before there were samples. What merely arrived,
    or failed, has told nobody of its scanner.

    Parameters
    ----------
    series_instance_uid
        The series that is judged now; its own result, just entered, does not count.
    """
    uid = SeriesEquipment.series_instance_uid
    sampled = exists().where(DriftSample.series_instance_uid == uid)
    has_result = exists().where(
        Result.series_instance_uid == uid,
        Result.score.is_not(None),  # else a notice
    )
    rows = session.execute(
        select(SeriesEquipment.kernel, SeriesEquipment.software)
        .where(
            SeriesEquipment.scanner == scanner,
            or_(sampled, and_(uid != series_instance_uid, has_result)),
        )
        .distinct()
    )
    return [(kernel, software) for kernel, software in rows]


def enter_sample(
    session: Session,
    series_instance_uid: str,
    said: EquipmentFacts,
    sample: Sample,
    now: datetime,
) -> bool:
    """Enter the figures of a series; False if it has a sample already: the first outcome counts."""
    known = DriftSample.series_instance_uid == series_instance_uid
    if session.scalar(select(DriftSample.id).where(known)) is not None:
        return False
    session.add(
        DriftSample(
            series_instance_uid=series_instance_uid,
            at=now,
            scanner=said.scanner,
            kernel=said.kernel,
            software=said.software,
            basis=sample.basis,
            figures=json.dumps(dict(sample.figures)),
        )
    )
    session.flush()
    return True


def enter_finding(
    session: Session, scanner: str, what: str, text: str, action: str, now: datetime
) -> bool:
    """Enter something that has changed; False if it is known, and nobody has accepted it yet.

    The action stays that of the finding, whatever the settings say later. Of what was accepted,
    the oldest goes.
    """
    known = select(DriftFinding.id).where(
        DriftFinding.ended_at.is_(None), DriftFinding.scanner == scanner, DriftFinding.what == what
    )
    if session.scalar(known.limit(1)) is not None:
        return False
    session.add(DriftFinding(scanner=scanner, what=what, text=text, at=now, action=action))
    session.flush()
    ended = select(DriftFinding.id).where(DriftFinding.ended_at.is_not(None))
    oldest_kept = ended.order_by(DriftFinding.id.desc()).offset(MOST_FINDINGS - 1).limit(1)
    session.execute(
        delete(DriftFinding).where(
            DriftFinding.ended_at.is_not(None), DriftFinding.id < oldest_kept.scalar_subquery()
        )
    )
    return True


def enter_news(session: Session, scanner: str, text: str, action: str, now: datetime) -> bool:
    """Enter something new of the equipment; False if it was ever entered: accepted, it is known."""
    known = select(DriftFinding.id).where(
        DriftFinding.scanner == scanner, DriftFinding.what == text
    )
    if session.scalar(known.limit(1)) is not None:
        return False
    return enter_finding(session, scanner, text, text, action, now)


def open_findings(session: Session) -> list[Finding]:
    """List what nobody has accepted yet, the oldest first; the latest `MOST_FINDINGS`."""
    rows = session.scalars(
        select(DriftFinding)
        .where(DriftFinding.ended_at.is_(None))
        .order_by(DriftFinding.id.desc())
        .limit(MOST_FINDINGS)
    ).all()
    return [
        Finding(
            id=row.id,
            scanner=row.scanner,
            what=row.what,
            text=row.text,
            at=row.at,
            action=row.action,
        )
        for row in reversed(rows)
    ]


def open_findings_by_action(session: Session) -> dict[str, int]:
    """Count what nobody has accepted yet, by what is done meanwhile."""
    rows = session.execute(
        select(DriftFinding.action, func.count())
        .where(DriftFinding.ended_at.is_(None))
        .group_by(DriftFinding.action)
    )
    return dict(rows.all())


def accept(session: Session, scanner: str, by: str, now: datetime) -> int:
    """End all findings of a scanner, whose reference begins anew; return how many there were."""
    ended = session.scalars(
        update(DriftFinding)
        .where(DriftFinding.ended_at.is_(None), DriftFinding.scanner == scanner)
        .values(ended_at=now, ended_by=by)
        .returning(DriftFinding.id)
    ).all()
    latest = session.scalar(select(func.max(DriftSample.id)).where(DriftSample.scanner == scanner))
    session.merge(DriftBaseline(scanner=scanner, after_id=latest or 0, at=now, by=by))
    session.flush()
    return len(ended)


def scanners_seen(session: Session) -> list[ScannerSeen]:
    """List the scanners that have samples; those before a reference began anew are not counted."""
    return [_seen(session, scanner) for scanner in _scanners(session)]


def scanners_after(session: Session, sample_id: int) -> tuple[list[str], int]:
    """List the scanners with samples after a sample; and give the latest sample there is."""
    new = DriftSample.id > sample_id
    latest = session.scalar(select(func.max(DriftSample.id)).where(new))
    if latest is None:
        return [], sample_id
    return list(session.scalars(select(DriftSample.scanner).where(new).distinct())), latest


def has_samples(session: Session, scanner: str) -> bool:
    """Tell whether there are figures of a scanner."""
    return bool(session.scalar(select(exists().where(DriftSample.scanner == scanner))))


def _scanners(session: Session) -> list[str]:
    """List the names of scanners by their index, by jumping from one to the next."""
    found: list[str] = []
    while len(found) < MOST_SCANNERS:
        query = select(func.min(DriftSample.scanner))
        if found:
            query = query.where(DriftSample.scanner > found[-1])
        scanner = session.scalar(query)
        if scanner is None:
            break
        found.append(scanner)
    return found


def _seen(session: Session, scanner: str) -> ScannerSeen:
    of_scanner = DriftSample.scanner == scanner
    counted = (
        select(DriftSample.id)
        .where(of_scanner, DriftSample.id > _after(session, scanner))
        .limit(MOST_COUNTED)
        .subquery()
    )
    return ScannerSeen(
        scanner=scanner,
        samples=session.scalar(select(func.count()).select_from(counted)) or 0,
    )


def _after(session: Session, scanner: str) -> int:
    """Find the sample before the first of the reference of a scanner; 0 for the very first."""
    row = session.get(DriftBaseline, scanner)
    return 0 if row is None else row.after_id


def samples_of(
    session: Session, scanner: str, reference: int, latest: int
) -> tuple[list[Sample], list[Sample]]:
    """Read the reference of a scanner, and its latest series after that, in their order.

    Parameters
    ----------
    reference, latest
        Most series of each.
    """
    after = _after(session, scanner)
    of_scanner = select(DriftSample.id, DriftSample.basis, DriftSample.figures).where(
        DriftSample.scanner == scanner, DriftSample.id > after
    )
    first = session.execute(of_scanner.order_by(DriftSample.id).limit(reference)).all()
    if len(first) < reference:
        return _samples(first), []
    rows = session.execute(
        of_scanner.where(DriftSample.id > first[-1][0])
        .order_by(DriftSample.id.desc())
        .limit(latest)
    ).all()
    return _samples(first), _samples(reversed(rows))


def _samples(rows: Iterable[Row[int, str, str]]) -> list[Sample]:
    return [Sample(basis=basis, figures=json.loads(figures)) for _, basis, figures in rows]


def series_without_equipment(session: Session, limit: int) -> list[tuple[str, str]]:
    """List series of images of which it is not known what made them: UID, and path of an image."""
    uid = Series.series_instance_uid
    known = exists().where(SeriesEquipment.series_instance_uid == uid)
    kept = exists().where(Instance.series_instance_uid == uid, Instance.purged_at.is_(None))
    own = exists().where(SelfTestSeries.series_instance_uid == uid)
    wanted = session.scalars(
        select(uid).where(~Series.of_documents, ~known, ~own, kept).limit(limit)
    ).all()
    rows = session.execute(
        select(Instance.series_instance_uid, func.min(Instance.path))
        .where(Instance.series_instance_uid.in_(wanted), Instance.purged_at.is_(None))
        .group_by(Instance.series_instance_uid)
    )
    return [(series, path) for series, path in rows]


def fill_in_equipment(session: Session, found: Mapping[str, EquipmentFacts]) -> None:
    """Enter what made series that were received before that was kept."""
    for uid, said in found.items():
        if session.get(Series, uid) is not None:
            enter_equipment(session, uid, said)
    session.flush()


def findings_by_scanner(findings: Collection[Finding]) -> dict[str, list[Finding]]:
    """Put findings together by scanner."""
    found: dict[str, list[Finding]] = {}
    for one in findings:
        found.setdefault(one.scanner, []).append(one)
    return found
