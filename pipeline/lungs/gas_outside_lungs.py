"""Find gas beside the lungs that is not in them: stomach, bowel, oesophagus.

Where the diaphragm is thinner than a voxel, gas below it hangs together with the lung; and a
network takes a pocket of gas beside the lungs for lung now and then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of, largest_nearby

# Attenuation of gas and of its wall, HU: our choice.
POCKET_AIR_MAX_HU = -400  #: darker is air of the lungs or of a pocket, partial volume included
FREE_GAS_MAX_HU = -950  #: darker is free gas, or emphysema
BOWEL_GAS_MAX_HU = -930  #: smoothed attenuation of gas in stomach and bowel, at most
POCKET_MEAN_MAX_HU = -965  #: mean of a pocket: gas measures -1000 to -970, the airiest lung -940
POCKET_WALL_MIN_HU = -300  #: denser voxels round a pocket of gas are its wall
LOWER_SHARE = 0.55  #: of the height of the lungs, from below: above, gas is tracheal
BOWEL_GAS_ML = 5.0  #: smaller pockets of gas join nothing to the lungs
WALL_MM = 4.5  #: how far from the gas its wall is looked for
WALL_SHARE = 0.6  #: of the surroundings; a bulla has lung round it instead
POCKET_SHARE = 0.05  #: of the largest part of air: larger ones are lungs
POCKET_ML = 0.3  #: smaller ones are noise
DARKEST_PERCENT = 5.0  #: of a pocket, whose attenuation tells whether it holds free gas
BESIDE_SHARE = 0.5  #: of its surroundings: a cavity has more lung round it than this


def bowel_gas(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Pockets of free gas with a wall of their own in the lower half, with that wall.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, feet to head, the box of the lungs.
    """
    found = np.zeros(hu.shape, bool)
    lower = hu[: int(len(hu) * LOWER_SHARE)]
    gas = ndimage.uniform_filter(lower, size=3) < BOWEL_GAS_MAX_HU
    labels = _components(gas)
    sizes = np.bincount(labels.ravel()) * np.prod(spacing_mm) / 1000
    reach = _reach(spacing_mm)
    for at, place in enumerate(ndimage.find_objects(labels)):
        if place is not None and sizes[at + 1] >= BOWEL_GAS_ML:
            around = _widened(place, reach)
            walled = _walled(labels[around] == at + 1, lower[around], reach)
            found[: len(lower)][around] |= walled
    return found


def stray_gas(hu: NDArray[np.int16], lungs: Mask, spacing_mm: Spacing) -> Mask:
    """Pockets of air beside the lungs that a mask holds in part, with their wall.

    A pocket is apart from the lungs' air, holds free gas, and has little of the mask round it: so
    a cavity in consolidated lung is none.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``.
    lungs
        Same shape; not empty.
    """
    stray = np.zeros(hu.shape, bool)
    reach = _reach(spacing_mm)
    box = box_of(lungs, (reach[0], reach[1], reach[2]))
    inside, held, out = hu[box], lungs[box], stray[box]
    labels = _components(inside < POCKET_AIR_MAX_HU)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    few = sizes < POCKET_SHARE * sizes.max()
    touched = np.bincount(labels[held], minlength=len(sizes)) > 0
    large = sizes * np.prod(spacing_mm) / 1000 >= POCKET_ML
    places = ndimage.find_objects(labels)
    for label in np.flatnonzero(few & touched & large):
        around = _widened(places[label - 1], reach)
        pocket = labels[around] == label
        wide = largest_nearby(pocket, reach)
        free = np.percentile(inside[around][pocket], DARKEST_PERCENT) < FREE_GAS_MAX_HU
        if free and np.mean(held[around][wide & ~pocket]) < BESIDE_SHARE:
            out[around] |= wide
    return stray


def _components(mask: Mask) -> NDArray[np.uint32]:
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    return np.asarray(array_of(sitk.ConnectedComponent(image)), np.uint32)


def _reach(spacing_mm: Spacing) -> list[int]:
    """Voxels from a pocket to the outside of its wall, along each axis."""
    return [2 * max(1, round(WALL_MM / 2 / mm)) for mm in spacing_mm]


def _widened(place: tuple[slice, ...], margin: Sequence[int]) -> tuple[slice, ...]:
    """Widen a box to all sides, as far as there are voxels."""
    return tuple(
        slice(max(0, span.start - n), span.stop + n) for span, n in zip(place, margin, strict=True)
    )


def _walled(pocket: Mask, hu: NDArray[np.int16], reach: Sequence[int]) -> Mask:
    """Return a pocket of gas with its surroundings if these are a wall, else nothing."""
    wide = largest_nearby(pocket, reach)
    wall = wide & ~largest_nearby(pocket, [n // 2 for n in reach])
    walled = np.mean(hu[wall] > POCKET_WALL_MIN_HU) >= WALL_SHARE
    return wide if walled and np.mean(hu[pocket]) <= POCKET_MEAN_MAX_HU else np.zeros_like(wide)
