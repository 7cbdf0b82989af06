"""What an auditor is told of instances: their study, and how many of each SOP class."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Result, ResultObject, Series

Studies = dict[str, dict[str, int]]
"""Study Instance UID, then SOP Class UID, to a number of instances."""


def received_of(session: Session, series_instance_uids: Iterable[str]) -> Studies:
    """Count the instances in use of some series."""
    rows = session.execute(
        select(Series.study_instance_uid, Instance.sop_class_uid, func.count())
        .select_from(Series)
        .join(Instance, Instance.series_instance_uid == Series.series_instance_uid)
        .where(Series.series_instance_uid.in_(series_instance_uids), ~Instance.superseded)
        .group_by(Series.study_instance_uid, Instance.sop_class_uid)
    )
    return _studies(rows)


def results_of(session: Session, sop_instance_uids: Iterable[str]) -> Studies:
    """Count some objects of results."""
    rows = session.execute(
        select(Series.study_instance_uid, ResultObject.sop_class_uid, func.count())
        .select_from(Series)
        .join(Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(ResultObject.sop_instance_uid.in_(sop_instance_uids))
        .group_by(Series.study_instance_uid, ResultObject.sop_class_uid)
    )
    return _studies(rows)


def _studies(rows: Iterable[Row[str, str, int]]) -> Studies:
    found: Studies = {}
    for study, sop_class, count in rows:
        found.setdefault(study, {})[sop_class] = count
    return found
