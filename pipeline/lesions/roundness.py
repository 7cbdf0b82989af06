"""Tell round patches of ground glass with lung all around them from branches, edges and rims."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lesions.region import Mask, Region

# Our choice.
ROUND_SHARE = 0.75
"""Of a patch, within the ball of its volume around its centre: 1 for a ball; for a spheroid with
one axis of 1.5 times the others 0.85, of twice the others 0.74."""
GROUND_GLASS_MAX_HU = -300.0  #: median of a patch; vessels and their crossings are denser
AROUND = 1  #: voxels about a patch that must all be lung: at an edge lung is filled by half
MIN_VOXELS = 3  #: of its box along each axis: fewer tell no shape, as in coarse grids


def round_ground_glass(
    labels: NDArray[np.intp], numbers: Iterable[int], region: Region
) -> frozenset[int]:
    """Choose the patches that are round, of ground glass, and surrounded by lung.

    Vessels and bronchi branch; dependent lung and lung half filled by others lies at an edge.

    Parameters
    ----------
    labels
        Patches on the region's grid.
    numbers
        Of the patches to be judged.
    """
    places = ndimage.find_objects(labels)
    return frozenset(
        number
        for number in numbers
        if _round_ground_glass(labels, number, places[number - 1], region)
    )


def _round_ground_glass(
    labels: NDArray[np.intp], number: int, place: tuple[slice, ...], region: Region
) -> bool:
    if any(span.stop - span.start < MIN_VOXELS for span in place):
        return False
    part = tuple(slice(max(0, span.start - AROUND), span.stop + AROUND) for span in place)
    patch = labels[part] == number
    return (
        float(np.median(region.hu[part][patch])) < GROUND_GLASS_MAX_HU
        and within_its_ball(patch, region.spacing_mm) >= ROUND_SHARE
        and _surrounded(patch, region.lungs[part])
    )


def within_its_ball(patch: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Share of a patch that lies within the ball of its volume around its centre: 1 for a ball."""
    at = np.argwhere(patch) * np.array(spacing_mm)
    radius = (3 * len(at) * np.prod(spacing_mm) / (4 * np.pi)) ** (1 / 3)
    return float(np.mean(np.linalg.norm(at - at.mean(axis=0), axis=1) <= radius))


def _surrounded(patch: Mask, lungs: Mask) -> bool:
    """Say whether all voxels about a patch are lung; beyond the region's box there is none."""
    padded = np.pad(patch, AROUND)
    grown = ndimage.binary_dilation(padded, np.ones((3, 3, 3), np.bool_), iterations=AROUND)
    return bool(np.pad(lungs, AROUND)[grown].all())
