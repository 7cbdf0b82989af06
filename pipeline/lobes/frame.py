"""Frame of a fissure: where it mostly lies, and a grid of heights above and below that plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lobar_extent import Fissure
from pipeline.lobes.blocks import Floats, LungBlocks, Triple

STEP_MM = 2.5  #: between neighbouring columns of heights
LEVEL_MM = 1.25  #: between heights
REACH_MM = 55.0  #: above and below the usual plane; the farthest fissure met lay 30 mm off
USUAL_MM = 15.0  #: from the usual plane, at which a place has the cost of the plane
MARGIN_MM = 5.0  #: beyond the box of the lung


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualPlane:
    """Plane near which a fissure lies, in shares of the box round its lung.

    ``height = middle + along_depth (depth - 1/2) + along_width (width - 1/2)``, with the height
    from feet to head, the depth from front to back, and the width from right to left.

    Attributes
    ----------
    cost
        Of a place `USUAL_MM` off, against 1 won by a full sheet; it grows with the square.
    """

    middle: float
    along_depth: float
    along_width: float
    cost: float


USUAL: dict[Fissure, UsualPlane] = {
    Fissure.RIGHT_OBLIQUE: UsualPlane(middle=0.51, along_depth=0.60, along_width=0.10, cost=0.06),
    Fissure.RIGHT_HORIZONTAL: UsualPlane(
        middle=0.60, along_depth=0.13, along_width=-0.03, cost=0.08
    ),
    Fissure.LEFT_OBLIQUE: UsualPlane(middle=0.49, along_depth=0.85, along_width=0.0, cost=0.06),
}
"""Of the oblique fissures means over four series where they are seen; of the horizontal one the
tilt in one series, and the height at which it is seen in three. A search begins there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """Grid of columns across the lung and along the usual plane, and of heights over it.

    Attributes
    ----------
    origin_mm
        Point of the usual plane in the middle of the lung, along slice, row and column.
    axes
        ``(3, 3)`` unit vectors across the lung, along the plane, and of the heights.
    shape
        Columns across, columns along, heights.
    first_mm
        Coordinates of the first column and the lowest height.
    usual_mm
        ``(across, along)`` height of the usual plane.
    step_mm
        Between columns.
    """

    origin_mm: Triple
    axes: Triple
    shape: tuple[int, int, int]
    first_mm: Triple
    usual_mm: Floats
    step_mm: float = STEP_MM

    @property
    def heights_mm(self) -> Floats:
        """Heights of the grid."""
        heights: Floats = self.first_mm[2] + LEVEL_MM * np.arange(self.shape[2], dtype=np.float32)
        return heights

    def sampled(self, values: NDArray[np.generic], blocks: LungBlocks) -> Floats:
        """Interpolate values of the blocks on the grid; 0 beyond them."""
        steps = np.array([self.step_mm, self.step_mm, LEVEL_MM])
        matrix = (self.axes.T * steps) / blocks.spacing_mm[:, None]
        first = self.origin_mm + self.axes.T @ self.first_mm - blocks.first_mm
        sampled: Floats = ndimage.affine_transform(
            values.astype(np.float32, copy=False),
            matrix,
            offset=first / blocks.spacing_mm,
            output_shape=self.shape,
            order=1,
            mode="constant",
        )
        return sampled

    def above_mm(self, surface_mm: Floats, places_mm: Triple) -> Floats:
        """Height of places ``(n, 3)`` over a surface ``(across, along)``."""
        across, along, height = self.axes @ (places_mm - self.origin_mm).T
        columns = [
            (across - self.first_mm[0]) / self.step_mm,
            (along - self.first_mm[1]) / self.step_mm,
        ]
        below = ndimage.map_coordinates(surface_mm, columns, order=1, mode="nearest")
        above: Floats = (height - below).astype(np.float32)
        return above

    def thinned(self, every: int) -> Frame:
        """Leave out all columns but every second, third and so on."""
        usual = self.usual_mm[::every, ::every]
        return Frame(
            origin_mm=self.origin_mm,
            axes=self.axes,
            shape=(*usual.shape, self.shape[2]),
            first_mm=self.first_mm,
            usual_mm=usual,
            step_mm=self.step_mm * every,
        )


def frame_of(blocks: LungBlocks, usual: UsualPlane) -> Frame:
    """Lay the frame of a fissure into a lung."""
    height, depth, width = blocks.size_mm
    angle = np.arctan(usual.along_depth * height / depth)
    sine, cosine = float(np.sin(angle)), float(np.cos(angle))
    half_across = width / 2 + MARGIN_MM
    half_along = (abs(sine) * height + abs(cosine) * depth) / 2 + MARGIN_MM
    across, along = (int(2 * half / STEP_MM) + 1 for half in (half_across, half_along))
    beside = STEP_MM * np.arange(across, dtype=np.float32) - np.float32(half_across)
    tilted = usual.along_width * height / width * cosine * beside
    return Frame(
        origin_mm=blocks.lower_mm + np.array([usual.middle, 0.5, 0.5]) * blocks.size_mm,
        axes=np.array([[0, 0, 1], [sine, cosine, 0], [cosine, -sine, 0]]),
        shape=(across, along, int(2 * REACH_MM / LEVEL_MM) + 1),
        first_mm=np.array([-half_across, -half_along, -REACH_MM]),
        usual_mm=np.repeat(tilted[:, None], along, axis=1).astype(np.float32),
    )
