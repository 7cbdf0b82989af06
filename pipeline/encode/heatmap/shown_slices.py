"""Choose the slices that the heatmap shows."""

from __future__ import annotations

from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.source.key_slices import key_slice, nearest_slice
from pipeline.encode.source.source_slices import SourceSlice, real_slices
from pipeline.types import Analysis, CtSeries

SLACK = 0.1  #: of the distance of slices: rounded positions make no slice too near


def shown_slices(series: CtSeries, analysis: Analysis, step_mm: float) -> tuple[SourceSlice, ...]:
    """Choose source slices with lung, a step apart, and those that the other results name.

    Parameters
    ----------
    step_mm
        Least distance of neighbours, mm; smaller beside a slice that page or report name: of an
        opacity, or of a change. 0 takes all.

    Returns
    -------
    tuple
        Feet to head; of all source slices if there is no lung on any.
    """
    return spaced_slices(series, analysis, step_mm, _named(real_slices(series), analysis))


def spaced_slices(
    series: CtSeries, analysis: Analysis, step_mm: float, named: frozenset[int] = frozenset()
) -> tuple[SourceSlice, ...]:
    """Choose source slices with lung, a step apart, and those with the indices that are named."""
    slices = real_slices(series)
    with_lung = {item.index for item in slices if analysis.lungs.labels[item.index].any()}
    eligible = with_lung or {item.index for item in slices}
    distance_mm = series.volume.spacing_mm[0]
    chosen: list[SourceSlice] = []
    next_mm = float("-inf")
    for item in slices:
        place_mm = item.index * distance_mm
        due = place_mm > next_mm - SLACK * distance_mm
        if item.index in named or (due and item.index in eligible):
            chosen.append(item)
            next_mm = place_mm + step_mm
    return tuple(chosen)


def _named(slices: tuple[SourceSlice, ...], analysis: Analysis) -> frozenset[int]:
    """Slices that page and report name: of each opacity with a number, of the rest, of a change."""
    ordered = tuple(sorted(analysis.lesions, key=lambda lesion: lesion.number))
    alone, rest = ordered[:MAX_LESION_SEGMENTS], ordered[MAX_LESION_SEGMENTS:]
    groups = [*((lesion,) for lesion in alone), *([rest] if rest else [])]
    keys = (key_slice(analysis, lesions, slices) for lesions in groups)
    named = {item.index for item in keys if item is not None}
    if analysis.unreported is not None and slices:
        named.add(nearest_slice(slices, analysis.unreported.voxel[0]).index)
    return frozenset(named)
