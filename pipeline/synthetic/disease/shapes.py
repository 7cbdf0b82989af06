"""Views of lungs, and the shapes that the painters of disease share: noise, blobs, nets, tubes.

Arrays are ``(planes, rows, columns)`` float32; plane 0 is the lowest, row 0 the foremost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FLUID_HU = 35.0  #: what fills the airspaces: exudate, cells
NET_WIDTH = 0.3  #: of a septum, in standard deviations of the noise it is cut from
TUBE_STEP_MM = 1.0
RIM_HU = -150.0  #: below it a voxel next to the lungs still holds air

Box = tuple[slice, slice, slice]
Spacing = tuple[float, float, float]
Point = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(slots=True, kw_only=True, eq=False)
class View:
    """A pair of lungs to paint on; the painters change it in place.

    Attributes
    ----------
    hu, lungs, lesions, depth_mm
        ``(planes, rows, columns)`` float32, feet to head; HU; masks 0..1; distance to the lungs'
        surface, 0 outside.
    spacing_mm
        Between voxel centres along each axis.
    """

    hu: Floats
    lungs: Floats
    lesions: Floats
    depth_mm: Floats
    spacing_mm: Spacing


def between(bounds: tuple[float, float], share: float) -> float:
    """Interpolate linearly: the first bound at 0, the second at 1."""
    return bounds[0] + (bounds[1] - bounds[0]) * share


def flood(hu: Floats, share: Floats, fluid_hu: float = FLUID_HU) -> None:
    """Replace a share of the air by fluid, in place; what is denser stays: vessels show through.

    Attenuation of lung is linear in its content of air, so half the air gone is half the way up.
    """
    hu += share * np.maximum(np.float32(fluid_hu) - hu, 0)


def noise(
    shape: Sequence[int], spacing_mm: Spacing, grain_mm: float, rng: np.random.Generator
) -> Floats:
    """Draw smooth noise of mean 0 and standard deviation 1: cubic B-splines on random knots."""
    bases = [
        _splines(length, grain_mm / mm, rng) for length, mm in zip(shape, spacing_mm, strict=True)
    ]
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for basis in bases:  # each turn: contract the first axis, append the result as the last
        field = np.tensordot(field, basis, axes=(0, 1))
    drawn: Floats = (field / max(float(field.std()), 1e-6)).astype(np.float32, copy=False)
    return drawn


def _splines(length: int, knot: float, rng: np.random.Generator) -> Floats:
    """Cubic B-splines ``(length, knots)``, a knot every ``knot`` voxels, at least every one."""
    knot = max(knot, 1.0)
    at = (np.arange(length) / knot + rng.random()).astype(np.float32)
    away = np.abs(at[:, None] - np.arange(-1, int(at[-1]) + 3, dtype=np.float32))
    near, far = 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)


def net(
    shape: Sequence[int], spacing_mm: Spacing, mesh_mm: float, rng: np.random.Generator
) -> Floats:
    """Draw a net of thin walls, 1 on a wall and 0 in the meshes: level sets of two noises."""
    walls = np.zeros(shape, np.float32)
    for _ in range(2):
        level = noise(shape, spacing_mm, mesh_mm, rng) / np.float32(NET_WIDTH)
        np.maximum(walls, np.exp(-(level**2)), out=walls)
    return walls


def blob(
    view: View,
    centre: Point,
    radii_mm: Point,
    rng: np.random.Generator,
    wobble: float = 0.25,
) -> tuple[Box, Floats]:
    """Box around an uneven ellipsoid, turned at random in the plane, and the level in it.

    The level is 0 at the centre, 1 on the surface; ``wobble`` is how far, in radii, the surface
    wanders in or out.
    """
    reach = max(radii_mm[1:]) * np.array([radii_mm[0] / max(radii_mm[1:]), 1, 1]) * (1.2 + wobble)
    inside, axes = [], []
    for axis in range(3):
        half = int(np.ceil(reach[axis] / view.spacing_mm[axis])) + 1
        start = max(0, int(centre[axis]) - half)
        stop = max(start + 1, min(view.hu.shape[axis], int(centre[axis]) + half + 1))
        inside.append(slice(start, stop))
        axes.append((np.arange(start, stop) - centre[axis]) * view.spacing_mm[axis])
    turn = rng.uniform(0, np.pi)
    along = np.cos(turn) * axes[1][:, None] + np.sin(turn) * axes[2][None, :]
    across = np.cos(turn) * axes[2][None, :] - np.sin(turn) * axes[1][:, None]
    plane = (along / radii_mm[1]) ** 2 + (across / radii_mm[2]) ** 2
    level = np.sqrt(plane[None] + ((axes[0] / radii_mm[0]) ** 2)[:, None, None]).astype(np.float32)
    grain = 0.6 * float(np.mean(radii_mm))
    level += np.float32(wobble) * noise(level.shape, view.spacing_mm, grain, rng)
    return (inside[0], inside[1], inside[2]), level


def draw_tube(
    filled: Floats,
    ends: tuple[Point, Point],
    spacing_mm: Spacing,
    wide: bool,
    rng: np.random.Generator,
) -> None:
    """Set the voxels of a crooked tube between two points to 1, in place."""
    limits = np.array(filled.shape) - 1
    start, end = ends
    bend = (start + end) / 2 + rng.normal(0, 0.08, 3) * (end - start)
    for head, tail in pairwise([start, bend, end]):
        length = float(np.linalg.norm((tail - head) * spacing_mm))
        steps = np.linspace(0, 1, int(length / TUBE_STEP_MM) + 2)[:, None]
        at = np.rint(head + steps * (tail - head)).astype(np.intp)
        z, y, x = np.clip(at, 0, limits).T
        filled[z, y, x] = 1.0
        if wide:
            filled[z, np.minimum(y + 1, limits[1]), x] = 1.0
            filled[z, y, np.minimum(x + 1, limits[2])] = 1.0


def airspace(view: View) -> Floats:
    """Give the lungs, and the voxel beyond their mask where air still shares it with the pleura."""
    rim = ndimage.maximum_filter(view.lungs, size=3) * (view.hu < RIM_HU)
    reached: Floats = np.maximum(view.lungs, rim)
    return reached


def side_of(view: View, side: int) -> Floats:
    """Give the lung with the low (0) or the high (1) columns, as a mask."""
    lung = airspace(view)
    third = lung.shape[2] // 3
    middle = third + int(np.argmin(view.lungs[:, :, third:-third].sum(axis=(0, 1))))
    lung[:, :, (slice(middle, None), slice(None, middle))[side]] = 0
    return lung


def hilum(view: View, side: int) -> Point:
    """Guess where bronchus and vessels enter a lung: medial, at half its height and depth."""
    planes, rows, columns = view.hu.shape
    return np.array([0.55 * planes, 0.5 * rows, (0.36, 0.64)[side] * columns])


def behind_mm(view: View) -> Floats:
    """Distance of each voxel from the rear end of the lung in its column, negative behind it."""
    inside = view.lungs[:, ::-1] >= 0.5
    rows = view.hu.shape[1]
    last = rows - 1 - np.argmax(inside, axis=1)[:, None, :]
    away = (last - np.arange(rows)[None, :, None]) * view.spacing_mm[1]
    return np.asarray(away, np.float32)


class Places:
    """Where in the lungs something may sit; drawn by weight, from every second voxel."""

    def __init__(self, view: View, weights: Floats) -> None:
        coarse = weights[::2, ::2, ::2] * (view.lungs[::2, ::2, ::2] >= 0.5)
        inside = np.flatnonzero(coarse > 0)
        if len(inside) == 0:
            raise ValueError("expected lung voxels to paint into, got none")
        self._points = 2.0 * np.stack(np.unravel_index(inside, coarse.shape), axis=1)
        self._sides = (self._points[:, 2] >= view.hu.shape[2] / 2).astype(int)
        self._weights = coarse.ravel()[inside].astype(np.float64)

    def draw(self, rng: np.random.Generator, side: int | None = None) -> Point:
        """Draw a place, in one lung if a side is asked for and there is such a lung."""
        weights = self._weights
        if side is not None and np.any(self._sides == side):
            weights = weights * (self._sides == side)
        heap = np.cumsum(weights)
        point: Point = self._points[int(np.searchsorted(heap, rng.random() * heap[-1]))]
        return point


def anywhere(view: View) -> Places:
    """Every place in the lungs, equally likely, but not on the pleura."""
    return Places(view, (view.depth_mm > 3.0) + np.float32(1e-3))
