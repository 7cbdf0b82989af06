"""Choose the slices that the heatmap shows."""

from __future__ import annotations

import numpy as np

from pipeline.encode.common.segments import MAX_LESION_SEGMENTS, labels_of
from pipeline.encode.source.source_slices import SourceSlice, real_slices
from pipeline.types import Analysis, CtSeries

SLACK = 0.1  #: of the distance of slices: rounded positions make no slice too near


def shown_slices(series: CtSeries, analysis: Analysis, step_mm: float) -> tuple[SourceSlice, ...]:
    """Choose source slices with lung, a step apart, so that every numbered opacity is on one.

    Parameters
    ----------
    step_mm
        Least distance of neighbours, mm; smaller where an opacity would be missed. 0 takes all.

    Returns
    -------
    tuple
        Feet to head; all source slices if there is no lung on any.
    """
    slices = real_slices(series)
    with_lung = [item for item in slices if analysis.lungs.labels[item.index].any()]
    distance_mm = series.volume.spacing_mm[0]
    chosen: dict[int, SourceSlice] = {}
    next_mm = float("-inf")
    for item in with_lung or slices:
        place_mm = item.index * distance_mm
        if place_mm > next_mm - SLACK * distance_mm:
            chosen[item.index] = item
            next_mm = place_mm + step_mm
    chosen |= _with_missed(slices, analysis, set(chosen))
    return tuple(chosen[index] for index in sorted(chosen))


def _with_missed(
    slices: tuple[SourceSlice, ...], analysis: Analysis, chosen: set[int]
) -> dict[int, SourceSlice]:
    """Key slices of the numbered opacities that lie on no chosen slice."""
    planes = (analysis.lesion_labels[index] for index in chosen)
    seen = {int(number) for plane in planes for number in np.flatnonzero(labels_of(plane))}
    by_index = {item.index: item for item in slices}
    missed = (lesion for lesion in analysis.lesions if lesion.number <= MAX_LESION_SEGMENTS)
    return {
        lesion.key_slice: by_index[lesion.key_slice]
        for lesion in missed
        if lesion.number not in seen and lesion.key_slice in by_index
    }
