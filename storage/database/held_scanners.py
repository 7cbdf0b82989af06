"""Tell series that wait because their scanner has changed, until somebody accepts that."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from storage.database.schema import Series
from storage.database.watch_tables import DriftFinding, SeriesEquipment

HOLD, STOP = "hold", "stop"  #: actions: results are not delivered; series are not analysed either


def is_held(*actions: str) -> ColumnElement[bool]:
    """Build the condition for series whose scanner has a finding with one of some actions."""
    return (
        select(DriftFinding.id)
        .join(SeriesEquipment, SeriesEquipment.scanner == DriftFinding.scanner)
        .where(
            SeriesEquipment.series_instance_uid == Series.series_instance_uid,
            DriftFinding.ended_at.is_(None),
            DriftFinding.action.in_(actions),
        )
        .exists()
    )
