"""Paint the body of the phantom: outline, rib cage, organs, bones; and find its lungs.

Attenuations are round textbook figures (fat -100, muscle 50, blood 40, liver 60, bone 200 to
700, lung -700 to -900 HU; Hofer, CT Teaching Manual).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.phantom.grid import Figure, Floats, Grid, Mask, ellipsoid, superellipse

PHANTOM_AIR_HU = -1000
FAT_HU = -105
MUSCLE_HU = 50
BLOOD_HU = 42
LIVER_HU = 60
SPLEEN_HU = 48
CORTEX_HU = 520
MARROW_HU = 190
TABLE_HU = -120
TABLE_CORE_HU = -880

SIDES = ((1, -1.0), (2, 1.0))  #: label of the lung, and which way it lies along x


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thorax:
    """Level functions of the chest that later steps use.

    Attributes
    ----------
    cage
        ``(slices, rows, columns)`` level function: 1 at the pleura of the chest wall.
    mediastinum
        Heart, great vessels, spine and what lies between the lungs.
    """

    cage: Floats
    mediastinum: Mask


def _narrowing(grid: Grid, figure: Figure) -> Floats:
    """Width of the rib cage against its widest, ``(slices, 1, 1)``."""
    height = np.clip((grid.z - figure.level(0.35)) / (0.65 * figure.height), 0, 1.2)
    narrow: Floats = (1 - 0.30 * height**2.0).astype(np.float32)
    return narrow


def rib_cage(grid: Grid, figure: Figure) -> Floats:
    """Level function of the inside of the rib cage."""
    narrow = _narrowing(grid, figure)
    radii = figure.cage_width * narrow, figure.cage_depth * (0.25 + 0.75 * narrow)
    return superellipse(grid, (figure.middle, 0.0), radii, power=2.5)


def paint_outline(hu: Floats, grid: Grid, figure: Figure, rng: np.random.Generator) -> None:
    """Fat and muscle of the trunk, breasts, and the table beneath the back."""
    angle = np.arctan2(grid.y, grid.x)
    wobble = 1 + sum(
        rng.normal(0, 0.008) * np.cos(k * angle + rng.uniform(0, 6.28)) for k in (2, 3, 4, 5)
    )
    shoulders = 1 + 0.05 * np.clip((grid.z - figure.level(0.6)) / figure.height, 0, 1)
    outer = superellipse(
        grid, (0.0, 0.0), (figure.half_width * shoulders, figure.half_depth), power=2.3
    )
    hu[outer < wobble] = FAT_HU
    lean = figure.half_width - figure.fat, figure.half_depth - 0.7 * figure.fat
    inner = superellipse(grid, (0.0, 0.0), (lean[0] * shoulders, lean[1]), power=2.3)
    _paint_breasts(hu, grid, figure, rng)
    hu[inner < wobble] = MUSCLE_HU
    _paint_table(hu, grid, figure)


def _paint_breasts(hu: Floats, grid: Grid, figure: Figure, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        return
    size = rng.uniform(28, 55) * figure.unit
    front = -figure.half_depth * 0.82
    for _, way in SIDES:
        centre = (way * figure.half_width * 0.5, front, figure.level(rng.uniform(0.3, 0.45)))
        breast = ellipsoid(grid, centre, (size * 1.2, size * 0.75, size * 1.2))
        hu[breast < 1] = FAT_HU
        hu[breast < rng.uniform(0.05, 0.3)] = 20  # glandular tissue


def _paint_table(hu: Floats, grid: Grid, figure: Figure) -> None:
    """Curved carbon-fibre shell with a foam core, on which the back lies."""
    sag = figure.half_depth + 4 - 0.0016 * grid.x**2
    below = (grid.y - sag)[0]
    wide = np.abs(grid.x[0]) < figure.half_width * 0.95
    plate = (below > 0) & (below < 26) & wide
    shell = plate & ((below < 2.5) | (below > 23))
    air = hu[0] <= PHANTOM_AIR_HU
    for where, value in ((plate, TABLE_CORE_HU), (shell, TABLE_HU)):
        hu[:, where & air] = value


def mediastinum(grid: Grid, figure: Figure, rng: np.random.Generator) -> Mask:
    """Everything between the lungs: heart, great vessels, junction lines, spine."""
    unit, middle, depth = figure.unit, figure.middle, figure.cage_depth
    upward = np.clip((grid.z - figure.base) / figure.height, 0, 1)
    column = superellipse(
        grid, (middle, 0.0), ((30 - 3 * upward) * unit * rng.uniform(0.85, 1.1), depth), power=2.0
    )
    shape = rng.uniform(0.88, 1.15)
    centre = (middle + rng.uniform(18, 30) * unit, -depth * 0.28, figure.level(0.22))
    heart = ellipsoid(
        grid, centre, (56 * unit * shape, 50 * unit * shape, max(0.27 * figure.height, 1.0))
    )
    spine = superellipse(grid, (middle, depth * 0.93), (27 * unit, 33 * unit))
    junction = np.abs(grid.x - middle) < 4 * unit
    around: Mask = (column < 0.85) | (heart < 1) | (spine < 1) | junction
    return around


def diaphragm(grid: Grid, figure: Figure, rng: np.random.Generator, way: float) -> Floats:
    """Height of one dome, z in mm, ``(1, rows, columns)``; the left one stands lower."""
    rise = figure.height * rng.uniform(0.18, 0.27) * (1.0 if way < 0 else 0.82)
    centre = (figure.middle + way * figure.cage_width * 0.45, -figure.cage_depth * 0.15)
    bowl = superellipse(grid, centre, (figure.cage_width * 0.62, figure.cage_depth * 0.9))
    dome: Floats = np.maximum(figure.base + rise * (1 - bowl), figure.base).astype(np.float32)
    return dome


def apex(grid: Grid, figure: Figure, way: float) -> Floats:
    """Height of the top of one lung, z in mm, ``(1, rows, columns)``."""
    centre = (figure.middle + way * figure.cage_width * 0.38, figure.cage_depth * 0.12)
    bowl = superellipse(grid, centre, (figure.cage_width * 0.55, figure.cage_depth * 0.7))
    top: Floats = (figure.apex - 0.30 * figure.height * bowl).astype(np.float32)
    return np.maximum(top, figure.level(0.45)).astype(np.float32)


def paint_chest(
    hu: Floats, grid: Grid, figure: Figure, rng: np.random.Generator
) -> tuple[Thorax, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Organs and bones; returns the chest and the lungs' labels (1 right, 2 left)."""
    cage = rib_cage(grid, figure)
    inside = cage < 1
    between = mediastinum(grid, figure, rng)
    hu[inside] = BLOOD_HU
    labels = np.zeros(grid.shape, np.uint8)
    for label, way in SIDES:
        dome = diaphragm(grid, figure, rng, way)
        half = inside & ((grid.x - figure.middle) * way > 0)
        labels[half & ~between & (grid.z > dome) & (grid.z < apex(grid, figure, way))] = label
        hu[half & (grid.z <= dome)] = LIVER_HU if way < 0 else SPLEEN_HU
    _paint_stomach(hu, grid, figure, rng, labels)
    _paint_vessels_of_the_middle(hu, grid, figure, rng, labels)
    paint_bones(hu, grid, figure, cage, rng)
    return Thorax(cage=cage, mediastinum=between), labels


def _paint_stomach(
    hu: Floats,
    grid: Grid,
    figure: Figure,
    rng: np.random.Generator,
    labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    """Gas under the left dome, in about half of the bodies: air that is no lung."""
    if rng.random() < 0.5:
        return
    size = rng.uniform(14, 26) * figure.unit
    centre = (figure.middle + 0.45 * figure.cage_width, -0.3 * figure.cage_depth, figure.base)
    hu[(ellipsoid(grid, centre, (size * 1.3, size * 0.8, size)) < 1) & (labels == 0)] = -960


def _paint_vessels_of_the_middle(
    hu: Floats,
    grid: Grid,
    figure: Figure,
    rng: np.random.Generator,
    labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> None:
    """Fat between the great vessels, the aorta; contrast medium in a quarter of the bodies."""
    unit, middle, depth = figure.unit, figure.middle, figure.cage_depth
    blood = rng.uniform(140, 260) if rng.random() < 0.25 else BLOOD_HU
    radius = rng.uniform(12, 16) * unit
    anterior = superellipse(grid, (middle, -depth * 0.62), (20 * unit, depth * 0.25)) < 1
    high = grid.z > figure.level(0.45)
    hu[anterior & high & (labels == 0)] = FAT_HU
    arch_top = figure.level(0.74)
    below_arch = grid.z < arch_top
    descending = superellipse(grid, (middle + 21 * unit, depth * 0.55), (radius, radius)) < 1
    ascending = superellipse(grid, (middle - 12 * unit, -depth * 0.22), (radius, radius)) < 1
    arch = superellipse(grid, (middle + 6 * unit, depth * 0.15), (radius, depth * 0.5)) < 1
    low = grid.z > figure.level(0.35)
    hu[descending & below_arch] = blood
    hu[ascending & below_arch & low] = blood
    hu[arch & (np.abs(grid.z - arch_top) < radius * 0.8) & (labels == 0)] = blood
    labels[descending & below_arch] = 0


def paint_bones(
    hu: Floats, grid: Grid, figure: Figure, cage: Floats, rng: np.random.Generator
) -> None:
    """Vertebrae, ribs, sternum and shoulder blades."""
    unit, middle, depth = figure.unit, figure.middle, figure.cage_depth
    disc = np.mod(grid.z / (26 * unit), 1.0) > 0.18
    body = superellipse(grid, (middle, depth * 0.93), (19 * unit, 15 * unit))
    hu[(body < 1) & disc] = CORTEX_HU
    hu[(body < 0.78) & disc] = MARROW_HU
    process = superellipse(grid, (middle, depth * 0.93 + 30 * unit), (4 * unit, 14 * unit))
    hu[(process < 1) & disc] = CORTEX_HU * 0.7
    hu[:, (superellipse(grid, (middle, depth * 0.93 + 20 * unit), (8.5 * unit,) * 2) < 1)[0]] = 15
    _paint_ribs(hu, grid, figure, cage, rng)
    sternum = superellipse(grid, (middle, -depth - 9 * unit), (17 * unit, 5.5 * unit))
    hu[(sternum < 1) & (grid.z > figure.level(0.3))] = MARROW_HU + 60
    _paint_blades(hu, grid, figure)


def _paint_ribs(
    hu: Floats, grid: Grid, figure: Figure, cage: Floats, rng: np.random.Generator
) -> None:
    """Ribs: bands on the cage that slope down from the back to the front."""
    pitch = 23 * figure.unit
    slope = 34 * figure.unit * grid.y / figure.cage_depth + rng.uniform(0, pitch)
    away = np.abs(np.mod((grid.z - slope) / pitch, 1.0) - 0.5) * pitch
    shell = (cage > 1.06) & (cage < 1.30)
    front = grid.y > -0.9 * figure.cage_depth  # cartilage in front
    rib = shell & (away < 5.5 * figure.unit) & front
    hu[rib] = CORTEX_HU
    hu[rib & (away < 3 * figure.unit) & (cage > 1.11) & (cage < 1.24)] = MARROW_HU


def _paint_blades(hu: Floats, grid: Grid, figure: Figure) -> None:
    """Shoulder blades: slanting thin plates behind the upper chest."""
    high = (grid.z > figure.level(0.5))[:, 0, 0]
    for _, way in SIDES:
        across = grid.x - figure.middle - way * figure.half_width * 0.62
        deep = grid.y - figure.half_depth * 0.62
        along, aside = across * 0.75 - way * deep * 0.66, across * way * 0.66 + deep * 0.75
        plate = ((along / (38 * figure.unit)) ** 2 + (aside / (4 * figure.unit)) ** 2 < 1)[0]
        soft = hu[:, plate] == MUSCLE_HU
        hu[:, plate] = np.where(soft & high[:, None], CORTEX_HU * 0.8, hu[:, plate])
