"""Count instances by study and SOP class, for audit messages."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Result, ResultObject, Series

Studies = dict[str, dict[str, int]]
"""Study Instance UID, then SOP Class UID, to a number of instances."""


def received_of(session: Session, series_instance_uids: Iterable[str]) -> Studies:
    """Count the instances in use of some received series."""
    rows = session.execute(
        select(Series.study_instance_uid, Instance.sop_class_uid, func.count())
        .select_from(Series)
        .join(Instance, Instance.series_instance_uid == Series.series_instance_uid)
        .where(Series.series_instance_uid.in_(series_instance_uids), ~Instance.superseded)
        .group_by(Series.study_instance_uid, Instance.sop_class_uid)
    )
    return _studies(rows)


def results_of(session: Session, sop_instance_uids: Iterable[str]) -> Studies:
    """Count some objects of results, under the studies of their source series."""
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
    studies: Studies = {}
    for study, sop_class, count in rows:
        studies.setdefault(study, {})[sop_class] = count
    return studies
