"""Measure the area of one lung from slice to slice: where it dips, and how it begins and ends.

From base to apex the area of a lung rises once and falls once, by some hundred mm² per mm. A dip
between two slices, or an end that is wide at once, is a part that the segmentation lost, or that
holds no air.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Mask, Spacing

DIP_MM = 15.0  #: a dip has shoulders this near, above and below
DIP_SHOULDER_MM2 = 200.0  #: smaller shoulders are noise
COMPARED_MM = 20.0  #: over so much of the body two masks of a lung are compared
COMPARED_MM2 = 500.0  #: mean area over it, at least, for a comparison
GROWTH_MM2_PER_MM = 400.0
"""Growth of the area at an apex, at most; measured on six series: 200 to 330 mm² per mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaProfile:
    """Figures of one lung along the body.

    Attributes
    ----------
    dip
        Deepest dip, as a share of its lower shoulder.
    bottom_mm, top_mm
        Height of the lowest and of the highest slice, from the first slice of the volume.
    bottom_mm2, top_mm2
        Area on that slice beyond what a slice's distance explains; 0 on the first or the last
        slice of the volume, where the scan ends.
    """

    dip: float
    bottom_mm: float
    top_mm: float
    bottom_mm2: float
    top_mm2: float


def profile_of(lung: Mask, spacing_mm: Spacing) -> AreaProfile:
    """Measure one lung ``(slices, rows, columns)`` that is not empty."""
    area = np.count_nonzero(lung, axis=(1, 2)) * spacing_mm[1] * spacing_mm[2]
    held = np.flatnonzero(area)
    lowest, highest = int(held[0]), int(held[-1])
    explained = GROWTH_MM2_PER_MM * spacing_mm[0]
    return AreaProfile(
        dip=_dip(area, max(1, round(DIP_MM / spacing_mm[0]))),
        bottom_mm=lowest * spacing_mm[0],
        top_mm=highest * spacing_mm[0],
        bottom_mm2=max(0.0, float(area[lowest]) - explained) if lowest else 0.0,
        top_mm2=max(0.0, float(area[highest]) - explained) if highest < len(area) - 1 else 0.0,
    )


def _dip(area: NDArray[np.float64], reach: int) -> float:
    """Deepest dip below the largest areas within reach on either side."""
    padded = np.pad(area, reach)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach).max(axis=1)
    below, above = windows[: len(area)], windows[reach + 1 :]
    shoulder = np.minimum(below, above)
    seen = shoulder >= DIP_SHOULDER_MM2
    return float(np.max((shoulder - area)[seen] / shoulder[seen], initial=0.0))


def one_sided_share(first: Mask, second: Mask, spacing_mm: Spacing) -> float:
    """Largest share of the area, over `COMPARED_MM` of the body, that one mask has and not both."""
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    areas = np.stack([np.count_nonzero(mask, axis=(1, 2)) * pixel_mm2 for mask in (first, second)])
    slices = min(areas.shape[1], max(1, round(COMPARED_MM / spacing_mm[0])))
    window = np.ones(slices)
    larger = np.convolve(areas.max(axis=0), window, mode="valid")
    smaller = np.convolve(areas.min(axis=0), window, mode="valid")
    seen = larger >= COMPARED_MM2 * slices
    return float(np.max(1 - smaller[seen] / larger[seen], initial=0.0))
