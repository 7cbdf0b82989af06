"""Grid of a phantom, measures of its body, and level functions of shapes on the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

ORIGIN_Z_MM = -300.0  #: LPS z of the lowest slice; arbitrary, as on a scanner


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Voxel centres in mm, as arrays that broadcast to ``(slices, rows, columns)``.

    Attributes
    ----------
    x, y, z
        ``(1, 1, columns)`` towards the patient's left, ``(1, rows, 1)`` towards the back, both
        zero in the middle; ``(slices, 1, 1)`` towards the head, zero at the lowest slice.
    pixel_mm, spacing_mm
        Distances between rows and between columns, as in Pixel Spacing, and between slices.
    """

    x: Floats
    y: Floats
    z: Floats
    pixel_mm: tuple[float, float]
    spacing_mm: float

    @classmethod
    def of(cls, slices: int, size: int, spacing_mm: float, field_mm: tuple[float, float]) -> Grid:
        """Grid of ``slices`` images of ``size`` x ``size`` pixels over ``field_mm``, deep, wide."""
        pixel_mm = field_mm[0] / size, field_mm[1] / size
        along = np.arange(size, dtype=np.float32) - (size - 1) / 2
        return cls(
            x=(along * np.float32(pixel_mm[1]))[None, None, :],
            y=(along * np.float32(pixel_mm[0]))[None, :, None],
            z=(np.arange(slices, dtype=np.float32) * np.float32(spacing_mm))[:, None, None],
            pixel_mm=pixel_mm,
            spacing_mm=spacing_mm,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.z.shape[0], self.y.shape[1], self.x.shape[2]

    @property
    def height_mm(self) -> float:
        """From the lower edge of the lowest slice to the upper edge of the highest, mm."""
        return self.shape[0] * self.spacing_mm

    @property
    def affine(self) -> NDArray[np.float64]:
        """``(4, 4)``: index ``(slice, row, column)`` to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = 0
        matrix[2, 0] = self.spacing_mm
        matrix[1, 1], matrix[0, 2] = self.pixel_mm
        matrix[:3, 3] = float(self.x[0, 0, 0]), float(self.y[0, 0, 0]), ORIGIN_Z_MM
        return matrix

    def index_of(self, points_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractional ``(n, 3)`` slice, row, column of ``(n, 3)`` points ``(x, y, z)``, mm."""
        low = np.array([self.z[0, 0, 0], self.y[0, 0, 0], self.x[0, 0, 0]], np.float64)
        step = np.array([self.spacing_mm, *self.pixel_mm])
        index: NDArray[np.float64] = (np.asarray(points_mm, np.float64)[:, ::-1] - low) / step
        return index


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The measures of one body, mm. Adults: thorax 28-36 cm wide, 19-26 cm deep.

    Attributes
    ----------
    half_width, half_depth
        Of the body's outline.
    cage_width, cage_depth
        Half-widths of the inside of the rib cage at its widest.
    middle
        x of the mid-plane.
    base, apex
        z of the lowest and the highest point of the lungs.
    """

    half_width: float
    half_depth: float
    fat: float
    cage_width: float
    cage_depth: float
    middle: float
    base: float
    apex: float

    @classmethod
    def draw(cls, grid: Grid, rng: np.random.Generator) -> Figure:
        """Measures of a random body that fills most of the field."""
        field = grid.shape[2] * grid.pixel_mm[1]
        half_width = field * rng.uniform(0.41, 0.46)
        half_depth = half_width * rng.uniform(0.67, 0.78)
        fat = field * rng.uniform(0.012, 0.06)
        wall = field * rng.uniform(0.045, 0.06)
        return cls(
            half_width=half_width,
            half_depth=half_depth,
            fat=fat,
            cage_width=half_width - fat - wall,
            cage_depth=half_depth - 0.7 * fat - wall,
            middle=rng.uniform(-0.012, 0.012) * field,
            base=grid.height_mm * rng.uniform(0.03, 0.10),
            apex=grid.height_mm * rng.uniform(0.88, 0.96),
        )

    @property
    def height(self) -> float:
        """Base to apex, mm."""
        return self.apex - self.base

    @property
    def unit(self) -> float:
        """Size of this body against one with a rib cage of 250 mm inner width."""
        return self.cage_width / 125.0

    def level(self, fraction: float) -> float:
        """Return the z of a level between base (0) and apex (1), mm."""
        return self.base + fraction * self.height


def superellipse(
    grid: Grid,
    centre: tuple[float | Floats, float],
    radii: tuple[float | Floats, float | Floats],
    power: float = 2.0,
) -> Floats:
    """Level function, below 1 inside, of a (super)ellipse in every slice.

    Parameters
    ----------
    centre, radii
        ``(x, y)`` mm; a ``(slices, 1, 1)`` array lets it change with height.

    Returns
    -------
    ndarray
        ``(slices, rows, columns)`` float32, or ``(1, rows, columns)`` when nothing changes.
    """
    across = np.abs((grid.x - centre[0]) / radii[0]) ** power
    deep = np.abs((grid.y - centre[1]) / radii[1]) ** power
    level: Floats = (across + deep).astype(np.float32, copy=False)
    return level


def ellipsoid(
    grid: Grid, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Floats:
    """Level function ``(slices, rows, columns)``, below 1 inside; ``x, y, z`` in mm."""
    flat = superellipse(grid, centre[:2], radii[:2])
    level: Floats = flat + ((grid.z - centre[2]) / radii[2]).astype(np.float32) ** 2
    return level


def waves(grid: Grid, rng: np.random.Generator, period_mm: float, count: int = 6) -> Floats:
    """Smooth random field ``(slices, rows, columns)``, mean 0, standard deviation about 1.

    A product of one sum of waves in the plane and one along the body: cheap at any size.
    """

    def bundle(axis: Floats, phase_of: Floats | float) -> Floats:
        frequency = 2 * np.pi / (period_mm * rng.uniform(0.6, 1.8, count))
        phase = rng.uniform(0, 2 * np.pi, count)
        parts = [
            np.sin(np.float32(f) * axis + np.float32(p) + phase_of)
            for f, p in zip(frequency, phase, strict=True)
        ]
        total: Floats = (sum(parts) / np.sqrt(count / 2)).astype(np.float32)
        return total

    plane = bundle(grid.x, 0.0) + bundle(grid.y, np.sin(grid.x / np.float32(period_mm)) * 2)
    field: Floats = (plane * np.float32(0.5) + bundle(grid.z, 0.0) * np.float32(0.7)).astype(
        np.float32
    )
    return field
