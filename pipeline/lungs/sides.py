"""Tell the right lung from the left, by the middle of the body; also where the two touch.

A lung lies on its side of the middle: one that is alone is not cut in two. Both lungs often meet
at the anterior junction line, a membrane thinner than a voxel. Eroding the mask until it falls in
two parts, one on either side, and giving each voxel to the nearer part, cuts there (after Hu et
al., IEEE TMI 2001, 10.1109/42.929615, with distances instead of a graph). Where that parts
nothing, the side stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, distance_mm, image_of
from pipeline.side_by_side import both
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG

EROSIONS_MM = (1.5, 3.0, 5.0, 8.0, 12.0, 16.0)  #: depths tried, rising
MIN_PART = 0.03  #: share of the mask that a part needs to be a lung of its own
SPECK_ML = 10.0  #: smaller parts beside the two lungs are dropped
CUT_PIXEL_MM = 3.0  #: the cut is looked for in pixels of about this size
ON_ITS_SIDE = 0.8
"""Share of a lung's volume on its own side of a middle, at least; measured on six series: 0.971 to
1. Both lungs in one part, or one that has grown across, have less."""
IN_THE_MIDDLE = 0.05
"""Share of the mask below which a part that lies on neither side is no lung: air of the airways or
of the oesophagus; trachea and main bronchi hold 30 to 90 ml."""
WHOLLY_ON_ITS_SIDE = 0.95  #: from here no other lung is looked for in the same part

Sides = NDArray[np.uint8]


def sides_of(lungs: Mask, middles: Sequence[float], spacing_mm: Spacing) -> Sides:
    """Label the lungs: 1 right, 2 left, 3 of an open side; specks, and air between, are dropped.

    Parameters
    ----------
    lungs
        ``(slices, rows, columns)``, columns towards the patient's left, airways left out.
    middles
        Columns of the middle of the body, see `pipeline.lungs.midline`; without any, every lung's
        side stays open.
    """
    parts = array_of(sitk.ConnectedComponent(image_of(lungs, spacing_mm)))
    sizes = np.bincount(parts.ravel())
    large = sizes >= SPECK_ML * 1000 / np.prod(spacing_mm)
    large[0] = False
    side_of_part = np.where(large, LUNG_OF_OPEN_SIDE, 0).astype(np.uint8)
    right = _right_shares(parts, sizes, middles)
    for side, shares in ((RIGHT_LUNG, right), (LEFT_LUNG, 1 - right)):
        side_of_part[large & _on_side(shares, ON_ITS_SIDE)] = side
    small = sizes < IN_THE_MIDDLE * sizes[large].sum()
    side_of_part[small & (side_of_part == LUNG_OF_OPEN_SIDE)] = 0
    wholly = _on_side(right, WHOLLY_ON_ITS_SIDE) | _on_side(1 - right, WHOLLY_ON_ITS_SIDE)
    labels: Sides = side_of_part[parts]
    for part in np.flatnonzero((side_of_part > 0) & ~wholly):
        own = parts == part
        cut = _parted(own, middles, spacing_mm)
        if cut is not None:
            labels[own] = cut[own]
    return labels


def _right_shares(
    parts: NDArray[np.integer], sizes: NDArray[np.intp], middles: Sequence[float]
) -> NDArray[np.float64]:
    """Share of each part to the right of each middle, ``(middles, parts)``."""
    shares = np.zeros((len(middles), len(sizes)))
    for at, middle in enumerate(middles):
        column = int(np.clip(round(middle), 0, parts.shape[2]))
        beside = np.bincount(parts[..., :column].ravel(), minlength=len(sizes))
        shares[at] = beside / np.maximum(sizes, 1)
    return shares


def _on_side(shares: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Say of each part whether one middle has it on this side, and no other on the opposite one."""
    if not len(shares):
        return np.zeros(shares.shape[1], bool)
    clear: NDArray[np.bool_] = (shares.max(axis=0) >= least) & (shares.min(axis=0) >= 0.5)
    return clear


def _parted(lungs: Mask, middles: Sequence[float], spacing_mm: Spacing) -> Sides | None:
    """Labels of two lungs that touch; None if no erosion leaves one on either side."""
    step = max(1, int(CUT_PIXEL_MM / min(spacing_mm[1:])))
    thin = np.ascontiguousarray(lungs[:, ::step, ::step])
    wide = (spacing_mm[0], spacing_mm[1] * step, spacing_mm[2] * step)
    depth = distance_mm(~thin, wide)
    for erosion in EROSIONS_MM:
        cores = _cores(depth > erosion, [middle / step for middle in middles], wide)
        if cores is not None:
            right, left = both(*(partial(distance_mm, core, wide) for core in cores))
            sides = np.where(left < right, LEFT_LUNG, RIGHT_LUNG).astype(np.uint8)
            sides = sides.repeat(step, axis=1).repeat(step, axis=2)
            return sides[:, : lungs.shape[1], : lungs.shape[2]]
    return None


def _cores(core: Mask, middles: Sequence[float], spacing_mm: Spacing) -> tuple[Mask, Mask] | None:
    """Largest component on the right and on the left side, if both are large enough."""
    parts = array_of(sitk.ConnectedComponent(image_of(core, spacing_mm)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    right = _right_shares(parts, sizes, middles)
    found = []
    for shares in (right, 1 - right):
        own = np.where(_on_side(shares, ON_ITS_SIDE), sizes, 0)
        if own.max() < max(1, MIN_PART * sizes.sum()):
            return None
        found.append(parts == int(own.argmax()))
    return found[0], found[1]
