"""The box of the lungs at about 1.5 mm in the plane, on which lesions are looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.types import LEFT_LUNG, RIGHT_LUNG

MEDIASTINUM_DEPTH = (0.1, 0.65)  #: of the lungs, from the front: heart, hila and great vessels

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """The box of the lungs, pixels of about 1.5 mm: mostly half the resolution in the plane.

    Attributes
    ----------
    hu, sides, activation
        ``(slices, rows, columns)`` of the box: int16 HU, the labels of `pipeline.types.LungMask`,
        float32 0..1.
    spacing_mm
        Along each axis.
    """

    hu: NDArray[np.int16]
    sides: Labels
    activation: NDArray[np.float32]
    spacing_mm: Spacing

    @property
    def lungs(self) -> Mask:
        """The lungs, whatever their side."""
        return self.sides > 0


def half(
    hu: NDArray[np.int16], sides: Labels, activation: NDArray[np.float32], spacing_mm: Spacing
) -> Region:
    """Halve rows and columns.

    A pixel is lung if any of the 2 x 2 that it stands for is; its attenuation is their mean, of
    lung alone where there is lung: chest wall, heart and liver do not shine in.

    Parameters
    ----------
    activation
        Halved already: of the upper left pixel.
    """
    shape = (len(hu), -(-hu.shape[1] // 2), -(-hu.shape[2] // 2))
    halved_hu, halved_sides = np.empty(shape, np.int16), np.empty(shape, np.uint8)
    for at, (image, labels) in enumerate(zip(hu, sides, strict=True)):
        halved_hu[at], halved_sides[at] = _halved(image, labels)
    return Region(
        hu=halved_hu,
        sides=halved_sides,
        activation=np.ascontiguousarray(activation),
        spacing_mm=(spacing_mm[0], spacing_mm[1] * 2, spacing_mm[2] * 2),
    )


def _halved(hu: NDArray[np.int16], sides: Labels) -> tuple[NDArray[np.int32], Labels]:
    """Halve one slice: attenuation and labels."""
    grow = [(0, n % 2) for n in hu.shape]
    hu, sides = np.pad(hu, grow, mode="edge"), np.pad(sides, grow)
    corners = [(slice(y, None, 2), slice(x, None, 2)) for y in (0, 1) for x in (0, 1)]
    labels = [sides[corner] for corner in corners]
    values = [hu[corner].astype(np.int32) for corner in corners]
    lung = [label > 0 for label in labels]
    count = sum(held.astype(np.int32) for held in lung)
    of_lung = sum(value * held for value, held in zip(values, lung, strict=True))
    mean = np.where(count, of_lung // np.maximum(count, 1), sum(values) // 4)
    return mean, np.maximum.reduce(labels)


def doubled(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Repeat rows and columns, of one slice or of many, cut to the full-resolution shape."""
    return labels.repeat(2, axis=-2).repeat(2, axis=-1)[..., : shape[-2], : shape[-1]]


def gaussian(
    values: NDArray[np.generic], sigma_mm: float, spacing_mm: Spacing
) -> NDArray[np.float32]:
    """Smooth by a Gaussian of so many mm."""
    sigma = [sigma_mm / mm for mm in spacing_mm]
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(
        values.astype(np.float32, copy=False), sigma, truncate=2.0
    )
    return smoothed


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
