"""The box of the lungs at about 1.5 mm in the plane, on which lesions are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import nearer_than
from pipeline.side_by_side import both
from pipeline.types import LEFT_LUNG, RIGHT_LUNG

# Attenuation of lesions, HU: our choice.
LESION_HU = (-700.0, 150.0)  #: ground glass to enhanced consolidation; calcium lies above
LESION_ABOVE_LUNG_HU = 160.0  #: and so much above the lungs' lower quartile (shallow breath)
AERATED_PERCENT = 25.0  #: of the lungs' voxels: aerated still where disease takes half of them
MAX_DEPENDENT_HU = 40.0  #: more than that is no gradient, but disease
DEPENDENT_MM = 10.0  #: standard deviation along the height of the body, for its gradient
SMOOTH_MM = 1.0  #: standard deviation of the light smoothing against noise
HILUM_MM = 20.0  #: from the mediastinum: there vessels are wide
SLICE_MM = 1.5  #: up to which thin slices are looked at together: as wide as a pixel
MEDIASTINUM_DEPTH = (0.1, 0.65)  #: of the lungs, from the front: heart, hila and great vessels

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The box of the lungs, voxels of about 1.5 mm: mostly half the resolution in the plane.

    Its properties are computed once, for all who look for something in it.

    Attributes
    ----------
    hu, sides
        ``(slices, rows, columns)`` of the box: int16 HU, the labels of `pipeline.types.LungMask`.
    spacing_mm
        Along each axis.
    """

    hu: NDArray[np.int16]
    sides: Labels
    spacing_mm: Spacing

    @cached_property
    def lungs(self) -> Mask:
        """The lungs, whatever their side."""
        return self.sides > 0

    @cached_property
    def smooth_hu(self) -> NDArray[np.float32]:
        """Attenuation of the lungs, lightly smoothed against noise, HU; 0 outside."""
        return within(self.hu, self.lungs, SMOOTH_MM, self.spacing_mm)

    @cached_property
    def floor_hu(self) -> NDArray[np.float32]:
        """Attenuation above which a voxel of these lungs is dense, HU, ``(1, rows, 1)``.

        It rises with the gradient of the lungs: of a patient on the back, the back is denser.
        """
        inside = self.hu[self.lungs]
        aerated = float(np.percentile(inside, AERATED_PERCENT)) if inside.size else LESION_HU[1]
        floor = max(LESION_HU[0], aerated + LESION_ABOVE_LUNG_HU)
        return (floor + dependent_hu(self, aerated)).astype(np.float32)

    @cached_property
    def dense(self) -> Mask:
        """Lung above `floor_hu`, and below calcium."""
        smooth = self.smooth_hu
        return self.lungs & (smooth > self.floor_hu) & (smooth < LESION_HU[1])

    @cached_property
    def hilum(self) -> Mask:
        """Lung within `HILUM_MM` of the mediastinum."""
        between = mediastinum(self.sides)
        if not between.any():
            return between
        near: Mask = self.lungs & nearer_than(HILUM_MM, between, self.spacing_mm)
        return near


def slices_together(spacing_mm: Spacing) -> int:
    """Say how many slices make one of the region: as many as stay within `SLICE_MM`."""
    return max(1, int(SLICE_MM / spacing_mm[0]))


def half(
    hu: NDArray[np.int16],
    sides: Labels,
    spacing_mm: Spacing,
    together: int = 1,
) -> Region:
    """Halve rows and columns, and make one slice of several thin ones.

    A voxel is lung if any of those is that it stands for; its attenuation is their mean, of
    lung alone where there is lung: chest wall, heart and liver do not shine in.

    Parameters
    ----------
    together
        As of `slices_together`; the last slice may stand for fewer.
    """
    shape = (-(-len(hu) // together), -(-hu.shape[1] // 2), -(-hu.shape[2] // 2))
    halved_hu, halved_sides = np.empty(shape, np.int16), np.empty(shape, np.uint8)
    for at in range(len(halved_hu)):
        block = slice(at * together, (at + 1) * together)
        halved_hu[at], halved_sides[at] = _halved(hu[block], sides[block])
    return Region(
        hu=halved_hu,
        sides=halved_sides,
        spacing_mm=(spacing_mm[0] * together, spacing_mm[1] * 2, spacing_mm[2] * 2),
    )


def _halved(hu: NDArray[np.int16], sides: Labels) -> tuple[NDArray[np.int32], Labels]:
    """Make one slice of half the size of a few: attenuation and labels."""
    grow = [(0, 0), *((0, n % 2) for n in hu.shape[1:])]
    hu, sides = np.pad(hu, grow, mode="edge"), np.pad(sides, grow)
    corners = [
        (at, slice(y, None, 2), slice(x, None, 2))
        for at in range(len(hu))
        for y in (0, 1)
        for x in (0, 1)
    ]
    labels = [sides[corner] for corner in corners]
    values = [hu[corner].astype(np.int32) for corner in corners]
    lung = [label > 0 for label in labels]
    count = sum(held.astype(np.int32) for held in lung)
    of_lung = sum(value * held for value, held in zip(values, lung, strict=True))
    mean = np.where(count, of_lung // np.maximum(count, 1), sum(values) // len(values))
    return mean, np.maximum.reduce(labels)


def doubled(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Repeat rows and columns, of one slice or of many, cut to the full-resolution shape."""
    return labels.repeat(2, axis=-2).repeat(2, axis=-1)[..., : shape[-2], : shape[-1]]


def gaussian(
    values: NDArray[np.generic], sigma_mm: float, spacing_mm: Spacing
) -> NDArray[np.float32]:
    """Smooth by a Gaussian of so many mm, axis by axis, two halves at a time."""
    smoothed = values.astype(np.float32)
    for axis, mm in enumerate(spacing_mm):
        lines = np.moveaxis(smoothed, 1 if axis == 0 else 0, 0)  # halves across the axis
        near, far = lines[: len(lines) // 2], lines[len(lines) // 2 :]
        of_half = 1 if axis < 2 else 2  # where the axis is among those
        both(
            partial(_smooth, near, sigma_mm / mm, of_half),
            partial(_smooth, far, sigma_mm / mm, of_half),
        )
    return smoothed


def _smooth(values: NDArray[np.float32], sigma: float, axis: int) -> None:
    """Smooth in place along one axis."""
    ndimage.gaussian_filter1d(values, sigma, axis, output=values, truncate=2.0)


def within(
    values: NDArray[np.generic], lungs: Mask, sigma_mm: float, spacing_mm: Spacing
) -> NDArray[np.float32]:
    """Smooth among the voxels of the lungs alone, so that the pleura is no edge; 0 outside."""
    weight = gaussian(lungs, sigma_mm, spacing_mm)
    summed = gaussian(values * lungs, sigma_mm, spacing_mm)
    np.divide(summed, np.maximum(weight, np.finfo(np.float32).tiny, out=weight), out=summed)
    summed[~lungs] = 0
    return summed


def mediastinum(sides: Labels) -> Mask:
    """Tissue between the two lungs at the depth of heart and hila, row by row.

    Empty where the sides are not told apart. The right lung lies at the lower columns: the volume
    is canonical. Before and behind that depth it would be chest wall.
    """
    columns, rows = np.arange(sides.shape[2]), np.arange(sides.shape[1])
    right, left = sides == RIGHT_LUNG, sides == LEFT_LUNG
    first = np.where(right, columns, -1).max(axis=2, keepdims=True)
    last = np.where(left, columns, len(columns)).min(axis=2, keepdims=True)
    both = right.any(axis=2, keepdims=True) & left.any(axis=2, keepdims=True)
    depth = np.flatnonzero((sides > 0).any(axis=(0, 2)))
    if not len(depth):
        return np.zeros(sides.shape, np.bool_)
    front, back = depth[0] + np.array(MEDIASTINUM_DEPTH) * (depth[-1] - depth[0])
    level = ((rows >= front) & (rows <= back))[None, :, None]
    between: Mask = both & level & (columns > first) & (columns < last)
    return between


def dependent_hu(region: Region, aerated: float) -> NDArray[np.float64]:
    """Give how much denser the aerated lung of each row is than all, HU; ``(1, rows, 1)``."""
    rows = region.hu.shape[1]
    excess = np.zeros(rows)
    lungs = region.lungs
    held = np.flatnonzero(lungs.any(axis=(0, 2)))
    if held.size:
        rows_hu = (region.hu[:, row][lungs[:, row]] for row in held)
        quartiles = [np.percentile(hu, AERATED_PERCENT) for hu in rows_hu]
        smooth = ndimage.gaussian_filter1d(quartiles, DEPENDENT_MM / region.spacing_mm[1])
        excess[held] = np.clip(smooth - aerated, 0, MAX_DEPENDENT_HU)
    return excess[None, :, None]
