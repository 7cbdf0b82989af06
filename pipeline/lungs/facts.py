"""Measure a mask of the lungs: the figures that the gates look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.area_profile import AreaProfile, profile_of
from pipeline.lungs.chest_contents import behind_ml, gas_ml, outside_share
from pipeline.lungs.coarse_grid import Mask, Spacing, edge_of_field
from pipeline.lungs.midline import middle_of_body
from pipeline.side_by_side import both
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, Side

PROFILE_MM = 15.0  #: length over which the profile of the area along the body is averaged
NAMES = {RIGHT_LUNG: Side.RIGHT.value, LEFT_LUNG: Side.LEFT.value, LUNG_OF_OPEN_SIDE: "open"}
"""Names of the labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LungFigures:
    """Figures of one lung.

    Attributes
    ----------
    behind
        Volume between its back and the ribs (`pipeline.lungs.chest_contents.behind_ml`), as a
        share of the lung together with it.
    gas_ml
        Volume of its largest pocket of free gas.
    """

    profile: AreaProfile
    behind: float
    gas_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LungFacts:
    """The figures of a mask that the gates look at.

    Attributes
    ----------
    open_ml
        Volume of lung whose side is open.
    height_mm
        Extent along the slices.
    mean_hu
        Mean attenuation inside, HU; 0 for an empty mask.
    at_edge
        Share of the mask's outline that lies on the edge of the field of view.
    dip
        Deepest dip between two modes of the area along the body, share of its largest value; 0
        with one mode.
    outside
        Share of the mask that lies outside the body.
    by_side
        Figures of each lung, by the name of its side.
    """

    right_ml: float
    left_ml: float
    height_mm: float
    mean_hu: float
    at_edge: float
    dip: float
    open_ml: float = 0.0
    outside: float = 0.0
    by_side: Mapping[str, LungFigures] = field(default_factory=dict)

    @property
    def litres(self) -> float:
        """Volume of all lung, L."""
        return (self.right_ml + self.left_ml + self.open_ml) / 1000

    @property
    def top_apart_mm(self) -> float:
        """Difference in height of the two apices; 0 where there are not both."""
        tops = [figures.profile.top_mm for figures in self.by_side.values()]
        return max(tops) - min(tops) if len(tops) == len(Side) else 0.0

    @property
    def bottom_apart_mm(self) -> float:
        """Difference in height of the two bases; 0 where there are not both."""
        bottoms = [figures.profile.bottom_mm for figures in self.by_side.values()]
        return max(bottoms) - min(bottoms) if len(bottoms) == len(Side) else 0.0

    @property
    def ratio(self) -> float:
        """Right over left volume; 1 where there are not both: that is a doubt of its own."""
        if not self.right_ml or not self.left_ml:
            return 1.0
        return self.right_ml / self.left_ml


def facts_of(labels: NDArray[np.uint8], hu: NDArray[np.int16], spacing_mm: Spacing) -> LungFacts:
    """Figures of a mask, ``(slices, rows, columns)`` like the attenuation."""
    lungs = labels > 0
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    held = np.flatnonzero(lungs.any(axis=(1, 2)))
    middle = middle_of_body(hu, spacing_mm)

    def of_side(label: int) -> LungFigures | None:
        own = labels == label
        return _figures(own, hu, middle, spacing_mm) if own.any() else None

    right, left = both(partial(of_side, RIGHT_LUNG), partial(of_side, LEFT_LUNG))
    figures = (right, left, of_side(LUNG_OF_OPEN_SIDE))
    return LungFacts(
        by_side={name: own for name, own in zip(NAMES.values(), figures, strict=True) if own},
        outside=outside_share(lungs, hu) if len(held) else 0.0,
        right_ml=float(np.count_nonzero(labels == RIGHT_LUNG)) * voxel_ml,
        left_ml=float(np.count_nonzero(labels == LEFT_LUNG)) * voxel_ml,
        open_ml=float(np.count_nonzero(labels == LUNG_OF_OPEN_SIDE)) * voxel_ml,
        height_mm=float(held[-1] - held[0] + 1) * spacing_mm[0] if len(held) else 0.0,
        mean_hu=float(hu[lungs].mean()) if len(held) else 0.0,
        at_edge=_at_edge(lungs, edge_of_field(hu, spacing_mm)),
        dip=_dip(lungs.sum(axis=(1, 2)), max(1, round(PROFILE_MM / spacing_mm[0]))),
    )


def _figures(
    lung: Mask, hu: NDArray[np.int16], middle: float | None, spacing_mm: Spacing
) -> LungFigures:
    own_ml = float(np.count_nonzero(lung) * np.prod(spacing_mm)) / 1000
    behind = 0.0 if middle is None else behind_ml(lung, hu, middle, spacing_mm)
    return LungFigures(
        profile=profile_of(lung, spacing_mm),
        behind=behind / (own_ml + behind),
        gas_ml=gas_ml(lung, hu, spacing_mm),
    )


def _dip(area: NDArray[np.int64], slices: int) -> float:
    """Deepest dip between two modes of a profile that is averaged over so many slices."""
    if not area.any():
        return 0.0
    smooth = np.convolve(area, np.ones(slices) / slices, mode="same")
    below, above = (np.maximum.accumulate(side) for side in (smooth, smooth[::-1]))
    return float((np.minimum(below, above[::-1]) - smooth).max() / smooth.max())


def _at_edge(lungs: Mask, edge: Mask) -> float:
    """Share of the in-plane outline that touches the edge of the field of view."""
    padded = np.pad(lungs, ((0, 0), (1, 1), (1, 1)))
    within = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    outline = lungs & ~within
    total = np.count_nonzero(outline)
    return np.count_nonzero(outline & edge) / total if total else 0.0
