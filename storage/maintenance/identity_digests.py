"""Digests of who a patient is, in the tables: under which key they are made, and how they change.

Versions before 0019 kept plain digests. They are keyed by the first start after it, which alone has
the key: a migration sees nothing but the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.report_tables import SignedReportRow, SignedReportSubject
from storage.database.schema import DigestKey, Feedback, Series
from storage.files.identity_key import IdentityKey

ONLY = 1  #: key of the only row
BATCH = 2_000  #: rows that are read and written at a time
Attribute = InstrumentedAttribute[Any]
Table = type[Series | Feedback]

DIGESTS: Mapping[Table, tuple[Attribute, ...]] = {
    Series: (
        Series.patient_key,
        Series.patient_digest,
        Series.birth_digest,
        Series.accession_key,
    ),
    Feedback: (Feedback.patient_digest, Feedback.birth_digest),
}
KEYS: Mapping[Table, Attribute] = {
    Series: Series.series_instance_uid,
    Feedback: Feedback.id,
}


def key_fingerprint(session: Session) -> str:
    """Read the fingerprint of the key under which the digests are made; empty if they are plain."""
    return session.scalar(select(DigestKey.fingerprint).where(DigestKey.id == ONLY)) or ""


def has_identity_digests(session: Session) -> bool:
    """Tell whether there is any digest that the loss of the key would make useless."""
    found = [exists().where(column != "") for columns in DIGESTS.values() for column in columns]
    return bool(session.scalar(select(or_(*found, exists(select(SignedReportRow.id))))))


def count_identity_digests(session: Session) -> int:
    """Count the rows that have a digest."""
    reports = session.scalar(select(func.count()).select_from(SignedReportRow)) or 0
    return reports + sum(
        session.scalar(
            select(func.count())
            .select_from(table)
            .where(or_(*(column != "" for column in columns)))
        )
        or 0
        for table, columns in DIGESTS.items()
    )


def key_identity_digests(session: Session, key: IdentityKey) -> int:
    """Key the plain digests of all rows, and enter the key's fingerprint; return how many rows."""
    rows = 0
    for table, columns in DIGESTS.items():
        for batch in _batches(session, KEYS[table], columns):
            names = [column.key for column in (KEYS[table], *columns)]
            values = [(row[0], *map(key.keyed, row[1:])) for row in batch]
            session.execute(update(table), [dict(zip(names, row, strict=True)) for row in values])
            rows += len(batch)
    session.merge(DigestKey(id=ONLY, fingerprint=key.fingerprint))
    session.flush()
    return rows


def forget_identity_digests(session: Session) -> None:
    """Empty all digests: of no row is known any more which others are of the same patient.

    Signed reports go as a whole: they are found by digests.
    """
    session.execute(delete(SignedReportSubject))
    session.execute(delete(SignedReportRow))
    for table, columns in DIGESTS.items():
        session.execute(update(table).values(dict.fromkeys((one.key for one in columns), "")))


def _batches(
    session: Session, key: Attribute, columns: Sequence[Attribute]
) -> Iterator[Sequence[Row[Any]]]:
    """Read the rows that have a digest, in order of their keys."""
    has_digest = or_(*(column != "" for column in columns))
    rows: Select[Any] = select(key, *columns).where(has_digest).order_by(key).limit(BATCH)
    batch = session.execute(rows).all()
    while batch:
        yield batch
        batch = session.execute(rows.where(key > batch[-1][0])).all()
