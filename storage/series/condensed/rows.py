"""Know instances whose rows were condensed, when they come again or are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import CondensedInstances, Series
from storage.series.condensed.entries import content_part, pack, uid_part, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """An instance that had a row of its own once.

    Attributes
    ----------
    is_same
        Whether its bytes were those that came now.
    received_at, purged_at
        As in its row, or of the latest of those that were condensed with it.
    """

    is_same: bool
    received_at: datetime
    purged_at: datetime


class CondensedVersions:
    """The condensed instances of some series, which are locked.

    What is taken out has a row again, or is superseded: :meth:`write` records that.
    """

    def __init__(self, session: Session, series: Sequence[str]) -> None:
        self._session = session
        self._rows: dict[str, list[tuple[CondensedInstances, dict[bytes, bytes]]]]
        self._rows = defaultdict(list)
        self._changed: set[str] = set()
        for batch in batched(series):
            found = select(CondensedInstances).where(
                CondensedInstances.series_instance_uid.in_(batch)
            )
            for row in session.scalars(found.execution_options(populate_existing=True)):
                self._rows[row.series_instance_uid].append((row, unpack(row.entries)))

    def take(self, series_instance_uid: str, sop_instance_uid: str, digest: str) -> Gone | None:
        """Take out an instance that came again; None if it was not condensed."""
        if series_instance_uid not in self._rows:
            return None
        for row, entries in self._rows[series_instance_uid]:
            content = entries.pop(uid_part(sop_instance_uid), None)
            if content is not None:
                self._changed.add(series_instance_uid)
                return Gone(
                    is_same=content == content_part(digest),
                    received_at=row.received_at,
                    purged_at=row.purged_at,
                )
        return None

    def write(self) -> None:
        """Write what is left of the rows out of which instances were taken."""
        for uid in self._changed:
            for row, entries in self._rows[uid]:
                if not entries:
                    self._session.delete(row)
                elif len(entries) != row.count:
                    row.entries, row.count = pack(entries), len(entries)


def count_condensed(session: Session, series_instance_uid: str) -> int:
    """Count the instances in use of a series whose rows were condensed."""
    of_series = CondensedInstances.series_instance_uid == series_instance_uid
    return session.scalar(select(func.sum(CondensedInstances.count)).where(of_series)) or 0


def series_of_condensed(
    session: Session, study_instance_uid: str, uids: Collection[str]
) -> dict[str, str]:
    """Find the series of a study in which some SOP Instance UIDs were condensed.

    Returns
    -------
    dict
        SOP to Series Instance UID, of those that are found.
    """
    wanted = {uid_part(uid): uid for uid in uids}
    rows = session.execute(
        select(CondensedInstances.series_instance_uid, CondensedInstances.entries)
        .join(Series)
        .where(Series.study_instance_uid == study_instance_uid)
    )
    return {
        wanted[part]: series
        for series, packed in rows
        for part in wanted.keys() & unpack(packed).keys()
    }
