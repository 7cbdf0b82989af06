"""State in the verdict on a series by which proof it was taken for complete."""

from __future__ import annotations

from dataclasses import replace

from pipeline.reasons import ClosedBy
from pipeline.types import Completeness, CtSeries

PROVING = frozenset(
    {
        ClosedBy.PROCEDURE_STEP,
        ClosedBy.WORK_ITEM,
        ClosedBy.AVAILABILITY,
        ClosedBy.ARCHIVE_COUNT,
    }
)
"""Proofs by others than the images themselves: with them nothing is missing."""


def with_proof(series: CtSeries, closed_by: ClosedBy | None) -> CtSeries:
    """Add the proof to the verdict; a gap between slices stays one."""
    if closed_by is None:
        return series
    geometry = replace(series.geometry, closed_by=str(closed_by))
    if closed_by is not ClosedBy.QUIET:
        statement = f"{geometry.statement} {closed_by.sentence}".strip()
        geometry = replace(geometry, statement=statement)
    if closed_by is ClosedBy.LACKING:
        geometry = replace(geometry, completeness=Completeness.INCOMPLETE)
    if closed_by in PROVING and geometry.completeness is Completeness.QUIET:
        geometry = replace(geometry, completeness=Completeness.PROVED)
    return replace(series, geometry=geometry)
