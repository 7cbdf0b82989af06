"""The series of a study, in the order in which they came."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Series
from storage.database.self_test_series import of_patients
from storage.series.documents import documents_beside


def series_numbers(session: Session, study_instance_uid: str) -> list[tuple[str, int | None]]:
    """List Series Instance UID and Series Number of every known series of images of a study.

    In the order of their first instances, which later series do not change.
    """
    rows = session.execute(
        select(Series.series_instance_uid, Series.series_number)
        .where(Series.study_instance_uid == study_instance_uid, ~Series.of_documents)
        .order_by(Series.first_at, Series.series_instance_uid)
    )
    return [(uid, number) for uid, number in rows]


def study_of(session: Session, series_instance_uid: str) -> str:
    """Give the Study Instance UID of a series that is known."""
    uid = Series.series_instance_uid
    return session.scalars(
        select(Series.study_instance_uid).where(uid == series_instance_uid)
    ).one()


def series_uids(
    session: Session, *, series: str | None = None, study: str | None = None
) -> list[str]:
    """List the series of patients that have a Series or a Study Instance UID, as they came.

    The documents that came in a series of images go with it.
    """
    chosen = (
        Series.study_instance_uid == study
        if series is None
        else Series.series_instance_uid.in_([series, documents_beside(series)])
    )
    return list(
        session.scalars(
            select(Series.series_instance_uid)
            .where(chosen, of_patients())
            .order_by(Series.first_at)
        )
    )
