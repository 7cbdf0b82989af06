"""The series of a study, in the order in which they came."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Series


def series_numbers(
    session: Session, study_instance_uid: str, *, without: Collection[str] = ()
) -> list[tuple[str, int | None]]:
    """List Series Instance UID and Series Number of every known series of a study.

    In the order of their first instances, which later series do not change.

    Parameters
    ----------
    without
        SOP Class UIDs of series that are left out.
    """
    rows = session.execute(
        select(Series.series_instance_uid, Series.series_number)
        .where(
            Series.study_instance_uid == study_instance_uid, Series.sop_class_uid.not_in(without)
        )
        .order_by(Series.first_at, Series.series_instance_uid)
    )
    return [(uid, number) for uid, number in rows]
