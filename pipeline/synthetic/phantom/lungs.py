"""Fill the phantom's lungs: parenchyma, airways, branching vessels, fissures, gravity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.phantom.anatomy import SIDES, Thorax
from pipeline.synthetic.phantom.grid import Figure, Floats, Grid, waves

Labels = NDArray[np.uint8]
Points = NDArray[np.float64]

PHANTOM_AIRWAY_HU = -985
PHANTOM_AIRWAY_WALL_HU = -250
PHANTOM_VESSEL_HU = 35
FISSURE_HU = -700
GENERATIONS = 7  #: from the hilum to vessels of half a millimetre
TRUNKS = 6  #: arteries, and as many veins, leaving each hilum
SPREAD = 0.55  #: random turn at a branching, against a direction of length 1
THINNER = 0.76  #: radius of a branch against its parent (Murray's law: 2 ** (-1/3) = 0.79)
SHORTER = 0.80  #: length of a branch against its parent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tubes:
    """Straight tubes: ``(n, 3)`` start and end ``(x, y, z)``, ``(n,)`` radius, mm."""

    start: Points
    end: Points
    radius: NDArray[np.float64]


def fill_parenchyma(
    hu: Floats, labels: Labels, grid: Grid, figure: Figure, rng: np.random.Generator
) -> None:
    """Lung tissue: denser towards the back (gravity), uneven, sometimes emphysematous."""
    level = rng.uniform(-890, -800)
    gravity = rng.uniform(20, 90) * grid.y / figure.cage_depth
    uneven = waves(grid, rng, 45 * figure.unit)
    tissue = level + gravity + np.float32(rng.uniform(6, 22)) * uneven
    if rng.random() < 0.2:
        tissue = tissue - 90 * (waves(grid, rng, 14 * figure.unit) > 1.2)
    inside = labels > 0
    hu[inside] = tissue[inside]


def hilum(figure: Figure, carina: float, way: float) -> Points:
    """Where vessels and bronchi enter a lung, ``(x, y, z)`` mm."""
    return np.array(
        [
            figure.middle + way * 36 * figure.unit,
            0.05 * figure.cage_depth,
            carina - 0.1 * figure.height,
        ]
    )


def grow(root: Points, way: float, figure: Figure, rng: np.random.Generator) -> Tubes:
    """Grow a tree: each branch splits in two, thinner and shorter, bent away from the parent."""
    count = TRUNKS * 2
    heading = rng.normal(0, 1, (count, 3)) * [0.5, 0.9, 1.0] + [way * 0.9, 0.15, 0.0]
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    start = np.repeat(root[None], count, 0) + rng.normal(0, 4, (count, 3))
    length = np.full(count, 0.21 * figure.height) * rng.uniform(0.7, 1.2, count)
    radius = rng.uniform(3.2, 5.2, count) * figure.unit
    parts: list[Tubes] = []
    for _ in range(GENERATIONS):
        end = start + heading * length[:, None]
        parts.append(Tubes(start=start, end=end, radius=radius))
        start, heading = np.repeat(end, 2, 0), np.repeat(heading, 2, 0)
        heading = heading + rng.normal(0, SPREAD, heading.shape)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        length = np.repeat(length, 2) * SHORTER * rng.uniform(0.7, 1.2, len(start))
        radius = np.repeat(radius, 2) * THINNER
    return Tubes(
        start=np.concatenate([part.start for part in parts]),
        end=np.concatenate([part.end for part in parts]),
        radius=np.concatenate([part.radius for part in parts]),
    )


def _points(tubes: Tubes, step_mm: float) -> tuple[Points, NDArray[np.float64]]:
    """Centres along the tubes at most ``step_mm`` apart, and the radius at each."""
    count = np.maximum(
        np.ceil(np.linalg.norm(tubes.end - tubes.start, axis=1) / step_mm).astype(int), 1
    )
    which = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    part = ((within + 0.5) / count[which])[:, None]
    return tubes.start[which] * (1 - part) + tubes.end[which] * part, tubes.radius[which]


def _ball(grid: Grid, radius: float) -> NDArray[np.intp]:
    """Voxel offsets ``(n, 3)`` of a ball of ``radius`` mm; at least its centre."""
    steps = np.array([grid.spacing_mm, *grid.pixel_mm])
    offsets = np.stack(
        np.meshgrid(*(np.arange(-n, n + 1) for n in (radius / steps).astype(int)), indexing="ij"),
        -1,
    ).reshape(-1, 3)
    near = ((offsets * steps) ** 2).sum(1) <= radius**2
    chosen: NDArray[np.intp] = offsets[near]
    return chosen


def cover(grid: Grid, tubes: Tubes) -> Floats:
    """Share of each voxel that is tube, ``(slices, rows, columns)``, 0 to 1.

    Tubes thinner than a voxel fill only part of it, as in a scanner.
    """
    share = np.zeros(grid.shape, np.float32)
    flat = share.reshape(-1)
    points, radius = _points(tubes, min(grid.pixel_mm))
    classes = np.unique(radius.round(1))
    for thick in classes:  # thin first: thick tubes win where they meet
        chosen = np.abs(radius - thick) <= 0.05
        centres = np.rint(grid.index_of(points[chosen])).astype(np.intp)
        voxels = (centres[:, None] + _ball(grid, float(thick))[None]).reshape(-1, 3)
        within = np.all((voxels >= 0) & (voxels < grid.shape), axis=1)
        at = np.ravel_multi_index(tuple(voxels[within].T), grid.shape)
        full = min(1.0, 2 * thick / max(grid.pixel_mm)) * min(1.0, 2.5 * thick / grid.spacing_mm)
        flat[at] = np.maximum(flat[at], full)
    return share


def add_vessels(
    hu: Floats, labels: Labels, grid: Grid, figure: Figure, rng: np.random.Generator
) -> None:
    """Arteries and veins of both lungs."""
    carina = figure.level(0.62)
    for label, way in SIDES:
        tubes = grow(hilum(figure, carina, way), way, figure, rng)
        share = cover(grid, tubes)
        where = (share > 0) & (labels == label)
        hu[where] += share[where] * (PHANTOM_VESSEL_HU - hu[where])


def _airway_tubes(figure: Figure, carina: float, lean: float) -> list[Tubes]:
    """Trachea and the two main bronchi."""
    unit = figure.unit
    fork = np.array([figure.middle + lean, 0.05 * figure.cage_depth, carina])
    top = np.array([figure.middle, 0.0, carina + figure.height * 0.5])
    tubes = [(fork, top, 8.5 * unit)]
    for _, way in SIDES:
        # the right main bronchus is wider and steeper
        end = hilum(figure, carina, way) + np.array([way * 8 * unit, 0, 2.0 if way < 0 else 4.0])
        tubes.append((fork, end, (7.0 if way < 0 else 6.0) * unit))
    return [
        Tubes(start=start[None], end=end[None], radius=np.array([radius]))
        for start, end, radius in tubes
    ]


def add_airways(
    hu: Floats, labels: Labels, grid: Grid, figure: Figure, rng: np.random.Generator
) -> None:
    """Trachea and main bronchi: air that no lung label covers."""
    lean = rng.uniform(-2, 2)
    for tubes in _airway_tubes(figure, figure.level(rng.uniform(0.60, 0.66)), lean):
        wall = Tubes(start=tubes.start, end=tubes.end, radius=tubes.radius + 1.5)
        around = (cover(grid, wall) > 0) & (labels > 0)
        hu[around] = PHANTOM_AIRWAY_WALL_HU
        labels[around] = 0
        lumen = cover(grid, tubes) > 0
        hu[lumen] = PHANTOM_AIRWAY_HU


def add_fissures(
    hu: Floats, labels: Labels, grid: Grid, figure: Figure, rng: np.random.Generator
) -> None:
    """Oblique fissures of both lungs and the horizontal one of the right."""
    thick = max(grid.spacing_mm, *grid.pixel_mm) * 0.5
    bend = 6 * np.sin(grid.x / (40 * figure.unit) + rng.uniform(0, 6.28))
    for label, _ in SIDES:
        slant = rng.uniform(0.9, 1.3) * figure.height / (2 * figure.cage_depth)
        sheet = figure.level(rng.uniform(0.42, 0.52)) + slant * (grid.y + bend)
        where = (np.abs(grid.z - sheet) < thick * np.sqrt(1 + slant**2)) & (labels == label)
        hu[where] = np.maximum(hu[where], FISSURE_HU)
    flat = figure.level(0.5) + bend + 0.1 * grid.y
    where = (np.abs(grid.z - flat) < thick) & (labels == 1) & (grid.y < 0)
    hu[where] = np.maximum(hu[where], FISSURE_HU)


def add_dependent_density(
    hu: Floats, labels: Labels, grid: Grid, thorax: Thorax, rng: np.random.Generator
) -> None:
    """Add the haze along the back wall that lying down makes in healthy lungs."""
    strength = rng.uniform(0, 260)
    depth = rng.uniform(0.05, 0.22)
    patch = np.clip(waves(grid, rng, 60.0) * 0.5 + 0.6, 0, 1)
    back = np.clip(grid.y / np.float32(np.abs(grid.y).max() * 0.5), 0, 1) ** 2
    near = np.clip((thorax.cage - (1 - depth)) / depth, 0, 1)
    haze = np.float32(strength) * near * back * patch
    inside = labels > 0
    hu[inside] += haze[inside]
