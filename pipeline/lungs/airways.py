"""Find the air of trachea and main bronchi, which is not lung.

The trachea is the chain of small round pockets of air near the midline at the top of the lungs.
From there the air is followed downwards, with a threshold raised until it leaks into the lungs:
the last volume before the leak is the airway (after Mori et al., IEEE TMI 2000,
10.1109/42.870250).
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import (
    Mask,
    Spacing,
    array_of,
    box_of,
    image_of,
    largest_nearby,
)

TRACHEA_MAX_HU = -850  #: HU; air of the trachea, partial volume at its wall included (our choice)
POCKET_MM2 = (50.0, 800.0)  #: area of the lumen in one slice (normal tracheas: 150 to 450)
POCKET_OFF_MIDLINE_MM = 45.0  #: largest distance from the middle of the body
POCKET_ELONGATION = 2.5  #: longer over shorter edge of its box; the carina is not looked for
POCKET_FILL = 0.5  #: least share of that box filled (an ellipse: 0.79)
MIDLINE_MM = 75.0  #: half width of what is looked at
MIN_TRACHEA_MM = 15.0  #: shortest chain of pockets that is believed
TRACHEA_BELOW_MM = 60.0
"""Shortest chain that is believed to be a trachea at the lower end; measured on six series: bowel
there 43 mm at most, the trachea 102 or more (75 on phantoms)."""
AIRWAY_GROWTH_HU = range(-960, -860, 10)  #: HU; thresholds tried, rising (our choice)
MAX_AIRWAY_ML = 90.0  #: trachea and main bronchi hold 30 to 70 ml
LEAP_FROM_ML = 30.0  #: below, a leap may be the step from the trachea into a bronchus
MAX_LEAP = 1.6  #: a step that multiplies the volume by more has leaked
WALL_MM = 2.5  #: partial volume at the wall, and the wall


def airways_of(
    hu: NDArray[np.int16], lungs: Mask, middle: float | None, spacing_mm: Spacing
) -> Mask:
    """Trachea and main bronchi with their wall; empty if there is no trachea to be seen.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, coarse grid, feet to head.
    lungs
        Air inside the chest, airways included; not empty.
    middle
        Column of the middle of the body, near which the trachea is looked for; None if unknown.
    """
    airways = np.zeros(hu.shape, bool)
    if middle is None:
        return airways
    part = _upper_middle(lungs, middle, spacing_mm)
    trachea = _trachea(hu[part], middle - part[2].start, spacing_mm)
    if trachea.any():
        lumen = _grown(hu[part], trachea, spacing_mm)
        wall = [0, *(max(1, round(WALL_MM / mm)) for mm in spacing_mm[1:])]
        airways[part] = largest_nearby(lumen, wall)
    return airways


def trachea_is_below(
    hu: NDArray[np.int16], lungs: Mask, middle: float, spacing_mm: Spacing
) -> bool:
    """Say whether a trachea leads out of the lungs at their lower end, and none at the upper.

    Then the patient lay with the other end first than Patient Position says, and right and left
    are exchanged.
    """
    below = _trachea_mm(hu[::-1], lungs[::-1], middle, spacing_mm)
    return below >= TRACHEA_BELOW_MM and below > _trachea_mm(hu, lungs, middle, spacing_mm)


def _trachea_mm(hu: NDArray[np.int16], lungs: Mask, middle: float, spacing_mm: Spacing) -> float:
    part = _upper_middle(lungs, middle, spacing_mm)
    trachea = _trachea(hu[part], middle - part[2].start, spacing_mm)
    return np.count_nonzero(trachea.any(axis=(1, 2))) * spacing_mm[0]


def _upper_middle(lungs: Mask, middle: float, spacing_mm: Spacing) -> tuple[slice, slice, slice]:
    """Box of trachea and main bronchi: upper half of the lungs and above, near the midline."""
    _, rows, _ = box_of(lungs, (0, 0, 0))
    held = np.flatnonzero(lungs.any(axis=(1, 2)))
    reach = int(MIDLINE_MM / spacing_mm[2])
    across = slice(max(0, round(middle) - reach), round(middle) + reach + 1)
    return slice(int(held[0] + held[-1]) // 2, lungs.shape[0]), rows, across


def _trachea(hu: NDArray[np.int16], middle: float, spacing_mm: Spacing) -> Mask:
    """Longest chain of tracheal pockets."""
    pockets = image_of(_pockets(hu, middle, spacing_mm), spacing_mm)
    chains = array_of(sitk.ConnectedComponent(pockets, True))
    places = ndimage.find_objects(chains)
    lengths = [(place[0].stop - place[0].start) * spacing_mm[0] for place in places]
    if not lengths or max(lengths) < MIN_TRACHEA_MM:
        return np.zeros(hu.shape, bool)
    trachea: Mask = chains == int(np.argmax(lengths)) + 1
    return trachea


def _pockets(hu: NDArray[np.int16], middle: float, spacing_mm: Spacing) -> Mask:
    """Small round regions of air near the middle, each slice by itself."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    regions, _ = ndimage.label(hu < TRACHEA_MAX_HU, in_plane)
    areas = np.bincount(regions.ravel()) * spacing_mm[1] * spacing_mm[2]
    kept = np.zeros(len(areas), bool)
    for at, (_, rows, columns) in enumerate(ndimage.find_objects(regions)):
        height = (rows.stop - rows.start) * spacing_mm[1]
        width = (columns.stop - columns.start) * spacing_mm[2]
        off = abs((columns.start + columns.stop) / 2 - middle) * spacing_mm[2]
        kept[at + 1] = (
            POCKET_MM2[0] <= areas[at + 1] <= POCKET_MM2[1]
            and off <= POCKET_OFF_MIDLINE_MM
            and max(height, width) <= POCKET_ELONGATION * min(height, width)
            and areas[at + 1] >= POCKET_FILL * height * width
        )
    pockets: Mask = kept[regions]
    return pockets


def _grown(hu: NDArray[np.int16], trachea: Mask, spacing_mm: Spacing) -> Mask:
    """Follow the air of the trachea with a rising threshold, until it leaks."""
    sigma = [0.0, *(1.0 / mm for mm in spacing_mm[1:])]
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), sigma, truncate=2.0)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    best, volume = trachea, float(trachea.sum()) * voxel_ml
    for threshold in AIRWAY_GROWTH_HU:
        grown = _reached((smooth < threshold) | trachea, trachea)
        ml = float(grown.sum()) * voxel_ml
        if ml > MAX_AIRWAY_ML or (ml > LEAP_FROM_ML and ml > MAX_LEAP * volume):
            break
        best, volume = grown, ml
    return best


def _reached(mask: Mask, seed: Mask) -> Mask:
    """Components of a mask that hold a voxel of the seed."""
    labels = array_of(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8))))
    seeded = np.zeros(int(labels.max()) + 1, bool)
    seeded[labels[seed]] = True
    reached: Mask = seeded[labels]
    return reached
