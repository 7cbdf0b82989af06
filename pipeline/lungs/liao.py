"""Segment the lungs after Liao et al.: a second opinion without a network.

Smoothed slices, a threshold of -600 HU, regions and components by size, shape and place (IEEE
TNNLS 2019, 10.1109/TNNLS.2019.2892409, and its published code). Airways stay in where they are
small beside the lungs, and opacities at the pleura stay out: the mask judges other masks, it is
not used itself. Left out are the parting in two lungs, which a judge does not need, and the
thickening of the mask for a nodule detector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of, image_of

LIAO_LUNG_MAX_HU = -600  #: HU; upper bound of lung after smoothing, as published
SMOOTH_MM = 0.7  #: standard deviation; the code has one pixel of a 360 mm field
REGION_MM2 = 30.0  #: smaller regions of a slice are dropped
MAX_ECCENTRICITY = 0.99  #: of a region; flatter ones are gaps of the table
LITRES = (0.68, 8.2)  #: of a component
WIDE_MM2 = 6000.0  #: area of a component in a slice from which its place counts
AXIS_MM = 62.0  #: mean of its least distance to the middle of the image, at most
TOP_STEP = 2  #: slices left out at the top, where the trachea may lead outside, per try
MAX_TRIES = 10  #: the code goes on to the last slice
MAIN_SHARE = 0.95  #: of a slice's area that its largest regions must cover

IN_PLANE = np.zeros((3, 3, 3), bool)
IN_PLANE[1] = ndimage.generate_binary_structure(2, 1)
Floats = NDArray[np.floating[Any]]


def segment_liao(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Lungs of a coarse volume; empty if nothing looks like lungs.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, feet to head.

    Returns
    -------
    NDArray[np.bool_]
        Same shape; right and left not told apart.
    """
    air = _air(hu, spacing_mm)
    for left_out in range(0, min(MAX_TRIES * TOP_STEP, len(hu)), TOP_STEP):
        lower = air.copy()
        lower[len(hu) - left_out :] = False
        lungs = _central(lower, left_out, spacing_mm)
        if lungs.any():
            return _whole(lungs)
    return np.zeros(hu.shape, bool)


def _air(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Dark regions of each slice that are neither specks nor flat."""
    sigma = [0.0, *(SMOOTH_MM / mm for mm in spacing_mm[1:])]
    dark = ndimage.gaussian_filter(hu.astype(np.float32), sigma, truncate=2.0) < LIAO_LUNG_MAX_HU
    regions, _ = ndimage.label(dark, IN_PLANE)
    areas = np.bincount(regions.ravel()) * spacing_mm[1] * spacing_mm[2]
    kept = (areas > REGION_MM2) & (_flattening(regions, spacing_mm) > 1 - MAX_ECCENTRICITY**2)
    kept[0] = False
    air: Mask = kept[regions]
    return air


def _flattening(regions: NDArray[np.int32], spacing_mm: Spacing) -> Floats:
    """Square of short over long axis of the ellipse with each region's second moments."""
    places = np.nonzero(regions)
    held = regions[places]
    pixels = np.maximum(np.bincount(held, minlength=1), 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(held, values, minlength=1) / pixels)

    y: Floats = places[1] * spacing_mm[1]
    x: Floats = places[2] * spacing_mm[2]
    y, x = y - mean(y)[held], x - mean(x)[held]
    along, across = mean(y * y), mean(x * x)
    spread = np.hypot((along - across) / 2, mean(x * y))
    middle = (along + across) / 2
    return np.asarray((middle - spread) / np.maximum(middle + spread, np.finfo(float).tiny))


def _central(air: Mask, left_out: int, spacing_mm: Spacing) -> Mask:
    """Components of a lung's size near the middle, apart from the air around the patient."""
    parts = array_of(sitk.ConnectedComponent(image_of(air, spacing_mm)))
    litres = np.bincount(parts.ravel()) * np.prod(spacing_mm) / 1e6
    top = len(air) - 1 - left_out
    middle = air.shape[2] // 2
    outside = parts[np.ix_([0, top], [0, -1], [0, middle, -1])]
    litres[[0, *np.unique(outside)]] = 0
    kept = np.zeros(len(litres), bool)
    for part in np.flatnonzero((litres >= LITRES[0]) & (litres <= LITRES[1])):
        kept[part] = _near_axis(parts == part, spacing_mm)
    central: Mask = kept[parts]
    return central


def _near_axis(part: Mask, spacing_mm: Spacing) -> bool:
    """Say whether the wide slices of a component come near the middle of the image."""
    wide = part[part.sum(axis=(1, 2)) * spacing_mm[1] * spacing_mm[2] > WIDE_MM2]
    if not len(wide):
        return False
    _, rows, columns = part.shape
    y = (np.arange(rows) - (rows - 1) / 2) * spacing_mm[1]
    x = (np.arange(columns) - (columns - 1) / 2) * spacing_mm[2]
    away = np.hypot(y[:, None], x[None])
    return float(np.mean([away[image].min() for image in wide])) < AXIS_MM


def _whole(lungs: Mask) -> Mask:
    """Fill holes of the volume, then keep and fill the main regions of each slice."""
    whole = np.zeros(lungs.shape, bool)
    box = box_of(lungs, (0, 0, 0))
    closed = array_of(sitk.BinaryFillhole(image_of(lungs[box], (1.0, 1.0, 1.0)))).astype(bool)
    for image, out in zip(closed, whole[box], strict=True):
        out[:] = ndimage.binary_fill_holes(_main(image))
    return whole


def _main(image: Mask) -> Mask:
    """Largest regions of a slice that together cover most of its area."""
    regions, _ = ndimage.label(image)
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    order = np.argsort(areas)[::-1]
    before = np.cumsum(areas[order]) - areas[order]
    kept = np.zeros(len(areas), bool)
    kept[order] = (before < MAIN_SHARE * areas.sum()) & (areas[order] > 0)
    main: Mask = kept[regions]
    return main
