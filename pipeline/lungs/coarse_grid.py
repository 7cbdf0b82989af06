"""Average a volume onto a coarser grid for the lungs, and bring masks back.

Coarse is fast, and less noisy. The lungs are large and smooth: found at about 1.4 mm in the
plane, they come back to the grid of the images with a Dice of 0.999 when the boundary is
interpolated, 0.99 when it is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.series.hounsfield import LOWEST_HU

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Pixel = TypeVar("Pixel", bound=np.generic)

TARGET_PIXELS = 256  #: of the longer side, wanted on the coarse grid; fewer are left as they are
EDGE_MM = 3.0  #: from the end of the field of view, within which a lung is cut by it
TARGET_SLICE_MM = 2.5  #: slices are averaged as long as they stay this close


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coarse:
    """A volume averaged over blocks of voxels.

    Attributes
    ----------
    hu
        ``(slices, rows, columns)`` int16.
    spacing_mm
        Along slice, row and column.
    factors
        How many source voxels make one, along each axis.
    shape
        Of the source.
    """

    hu: NDArray[np.int16]
    spacing_mm: Spacing
    factors: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def blocks(self) -> list[slice]:
        """Slices of the source that each coarse slice stands for."""
        thick = self.factors[0]
        return [slice(at, at + thick) for at in range(0, self.shape[0], thick)]


def coarsen(hu: NDArray[np.int16], spacing_mm: Spacing) -> Coarse:
    """Average over blocks, of about one length in mm in the plane.

    A remainder at the far end is padded with its last voxels.
    """
    slices, rows, columns = hu.shape
    pixel_mm = max(1, round(max(rows, columns) / TARGET_PIXELS)) * min(spacing_mm[1:])
    factors = (
        max(1, int(TARGET_SLICE_MM / spacing_mm[0])),
        max(1, round(pixel_mm / spacing_mm[1])),
        max(1, round(pixel_mm / spacing_mm[2])),
    )
    return Coarse(
        hu=_block_mean(hu, factors),
        spacing_mm=tuple(mm * n for mm, n in zip(spacing_mm, factors, strict=True)),
        factors=factors,
        shape=(slices, rows, columns),
    )


def edge_of_field(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Pixels at the edge of what a scan shows, ``(rows, columns)``.

    The field of view is what shows something on any slice: beyond it scanners store padding, which
    has become `LOWEST_HU`. So it is a circle, a part of one, or the whole image, as it comes.
    """
    shown = (hu > LOWEST_HU).any(axis=0)
    field = ndimage.binary_fill_holes(shown) if shown.any() else np.ones_like(shown)
    away = ndimage.distance_transform_edt(np.pad(field, 1), sampling=spacing_mm[1:])[1:-1, 1:-1]
    near = away <= EDGE_MM + min(spacing_mm[1:]) / 2
    edge: Mask = ~field | near | ~ndimage.binary_erosion(field)
    return edge


def refine(mask: NDArray[np.uint8] | Mask, coarse: Coarse) -> NDArray[np.uint8]:
    """Bring labels back to the grid of the source, each voxel to its whole block."""
    full = np.empty(coarse.shape, np.uint8)
    for slices, image in zip(coarse.blocks, mask, strict=True):
        full[slices] = refined(image, coarse)
    return full


def refined(image: NDArray[Pixel], coarse: Coarse) -> NDArray[Pixel]:
    """Bring one coarse slice ``(rows, columns)`` to the pixels of the source."""
    for axis, factor in enumerate(coarse.factors[1:]):
        if factor > 1:
            image = np.repeat(image, factor, axis=axis)
    return image[: coarse.shape[1], : coarse.shape[2]]


def on_coarse(mask: Mask, coarse: Coarse) -> Mask:
    """Bring a mask of the source to the coarse grid: the voxel in the middle of each block."""
    z, y, x = (slice(n // 2, None, n) for n in coarse.factors)
    middle = mask[z, y, x]
    spare = [(0, n - m) for n, m in zip(coarse.hu.shape, middle.shape, strict=True)]
    return np.pad(middle, spare, mode="edge")


def image_of(array: NDArray[np.generic], spacing_mm: Spacing) -> sitk.Image:
    """SimpleITK image with the spacing set (x, y, z there), so that distances are mm."""
    image = sitk.GetImageFromArray(array.view(np.uint8) if array.dtype == bool else array)
    image.SetSpacing(spacing_mm[::-1])
    return image


def array_of(image: sitk.Image) -> NDArray[Any]:
    """Array of a SimpleITK image, ``(slices, rows, columns)``."""
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array


def distance_mm(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Distance of each voxel to the nearest voxel of a mask that is not empty, 0 inside, mm."""
    image = sitk.SignedMaurerDistanceMap(
        image_of(mask, spacing_mm), squaredDistance=False, useImageSpacing=True
    )
    distance: NDArray[np.float32] = np.maximum(sitk.GetArrayFromImage(image), np.float32(0))
    distance[~mask & (distance == 0)] = np.float32(min(spacing_mm))
    return distance


def nearer_than(reach_mm: float, mask: Mask, spacing_mm: Spacing) -> Mask:
    """Voxels less than so many mm from a mask that is not empty: looked for round it alone."""
    margin = [int(reach_mm / mm) + 1 for mm in spacing_mm]
    box = box_of(mask, (margin[0], margin[1], margin[2]))
    near = np.zeros_like(mask)
    near[box] = distance_mm(mask[box], spacing_mm) < reach_mm
    return near


def largest_nearby(values: NDArray[Pixel], reach: Sequence[int]) -> NDArray[Pixel]:
    """Largest value of the box about each voxel: a mask or labels dilated, 20 times as fast.

    Parameters
    ----------
    reach
        Voxels of the box to either side, along each axis; few.
    """
    for axis, count in enumerate(reach):
        grown = values.copy()
        source, target = np.moveaxis(values, axis, 0), np.moveaxis(grown, axis, 0)
        for by in range(1, min(count, len(source) - 1) + 1):
            np.maximum(target[by:], source[:-by], out=target[by:])
            np.maximum(target[:-by], source[by:], out=target[:-by])
        values = grown
    return values


def near_in_plane(mask: Mask, radius_mm: float, pixel_mm: tuple[float, float]) -> Mask:
    """Pixels of each slice within a distance of a mask: the mask dilated with a disc.

    Exact, as of a distance transform, but ten times faster: eight slices are done at a time, as
    the bits of a byte, and a disc is some dozens of shifts.
    """
    half_widths = _half_widths(radius_mm, pixel_mm)
    rows, columns = mask.shape[1:]
    bits = np.packbits(mask, axis=0)
    wide, near = bits.copy(), np.zeros_like(bits)
    for width in range(half_widths[0] + 1):
        if 0 < width < columns:
            wide[..., width:] |= bits[..., :-width]
            wide[..., :-width] |= bits[..., width:]
        for row in (row for row, half in enumerate(half_widths) if half == width and row < rows):
            near[:, row:] |= wide[:, : rows - row]
            near[:, : rows - row] |= wide[:, row:]
    return np.unpackbits(near, axis=0, count=len(mask)).view(bool)


def _half_widths(radius_mm: float, pixel_mm: tuple[float, float]) -> list[int]:
    """Pixels that a disc reaches to either side, in its middle row and in those beside it."""
    rows, columns = (np.arange(int(radius_mm / mm) + 2) * mm for mm in pixel_mm)
    inside = np.sqrt(rows[:, None] ** 2 + columns**2) <= radius_mm
    return [int(np.count_nonzero(row)) - 1 for row in inside if row.any()]


def box_of(mask: Mask, margin: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Smallest box round a mask that is not empty, widened by voxels on each side."""
    spans = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        spans.append(slice(max(0, int(held[0]) - margin[axis]), int(held[-1]) + 1 + margin[axis]))
    return spans[0], spans[1], spans[2]


def _block_mean(hu: NDArray[np.int16], factors: tuple[int, int, int]) -> NDArray[np.int16]:
    if factors == (1, 1, 1):
        return hu
    spare = [(0, -length % factor) for length, factor in zip(hu.shape, factors, strict=True)]
    padded = np.pad(hu, spare, mode="edge") if np.any(spare) else hu
    kz, ky, kx = factors
    total = np.zeros([n // k for n, k in zip(padded.shape, factors, strict=True)], np.int32)
    for z, y, x in np.ndindex(kz, ky, kx):
        total += padded[z::kz, y::ky, x::kx]
    return (total // (kz * ky * kx)).astype(np.int16)
