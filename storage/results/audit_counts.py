"""Count instances by study and SOP class, for audit messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Row, func, select, true
from sqlalchemy.orm import Session

from storage.database.schema import CondensedInstances, Instance, Result, ResultObject, Series

Studies = dict[str, dict[str, int]]
"""Study Instance UID, then SOP Class UID, to a number of instances."""


def received_of(session: Session, series_instance_uids: Collection[str]) -> Studies:
    """Count the instances in use of some received series, also those whose rows were condensed."""
    studies: Studies = {}
    for count, table, in_use in (
        (func.count(), Instance, ~Instance.superseded),
        (func.sum(CondensedInstances.count), CondensedInstances, true()),
    ):
        rows = session.execute(
            select(Series.study_instance_uid, table.sop_class_uid, count)
            .select_from(Series)
            .join(table, table.series_instance_uid == Series.series_instance_uid)
            .where(Series.series_instance_uid.in_(series_instance_uids), in_use)
            .group_by(Series.study_instance_uid, table.sop_class_uid)
        )
        _add(studies, rows)
    return studies


def added(parts: Iterable[Studies]) -> Studies:
    """Add numbers of several parts."""
    studies: Studies = {}
    for part in parts:
        _add(studies, ((study, *one) for study, classes in part.items() for one in classes.items()))
    return studies


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
    return _add({}, rows)


def _add(studies: Studies, rows: Iterable[Row[str, str, int] | tuple[str, str, int]]) -> Studies:
    for study, sop_class, count in rows:
        classes = studies.setdefault(study, {})
        classes[sop_class] = classes.get(sop_class, 0) + count
    return studies
