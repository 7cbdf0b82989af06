"""Paint the phantom's opacities: ground glass, some with a consolidated core.

COVID-19 pneumonia on CT: bilateral, peripheral, posterior and basal ground-glass opacities,
consolidation later (Bernheim et al. 2020, doi:10.1148/radiol.2020200463).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.phantom.anatomy import Thorax
from pipeline.synthetic.phantom.grid import Floats, Grid

Labels = NDArray[np.uint8]
Box = tuple[slice, slice, slice]

PHANTOM_GROUND_GLASS_HU = (-650.0, -300.0)  #: range of mean attenuation
PHANTOM_CONSOLIDATION_HU = (-60.0, 40.0)
CORE_SHARE = 0.4  #: share of lesions with a consolidated core
RADIUS_MM = (6.0, 28.0)  #: half of the 1 to 6 cm across; small ones are commoner
ATTEMPTS = 12  #: places tried before a lesion may overlap an earlier one


def add_lesions(
    hu: Floats, labels: Labels, grid: Grid, thorax: Thorax, count: int, rng: np.random.Generator
) -> Labels:
    """Put ``count`` lesions into the lungs; returns their labels ``1..count`` on the grid."""
    lesions = np.zeros(grid.shape, np.uint8)
    if count == 0:
        return lesions
    places, weights = _places(labels, grid, thorax)
    for number in range(1, count + 1):
        for attempt in range(ATTEMPTS):
            centre = places[np.searchsorted(weights, rng.random() * weights[-1])]
            box, level = _shape(grid, centre, rng)
            inside = (level < 1) & (labels[box] > 0)
            free = inside & (lesions[box] == 0)
            if free.sum() > 0.8 * inside.sum() or attempt == ATTEMPTS - 1:
                break
        free[tuple(np.array(centre) - [part.start for part in box])] = True
        lesions[box][free] = number
        _paint(hu[box], level, labels[box] > 0, rng)
    return lesions


def _places(
    labels: Labels, grid: Grid, thorax: Thorax
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Lung voxels ``(n, 3)`` and the running sum of how much a lesion likes to be there."""
    step = max(1, grid.shape[1] // 96)
    coarse = labels[:, ::step, ::step]
    at = np.argwhere(coarse > 0) * np.array([1, step, step], np.intp)
    if len(at) == 0:
        raise ValueError(f"no lung in a grid of {grid.shape}: too small for lesions")
    z, y, _ = at.T
    peripheral = np.clip(thorax.cage[tuple(at.T)], 0, 1) ** 3
    posterior = 1 / (1 + np.exp(-grid.y[0, y, 0] / 25))
    basal = np.exp(-1.5 * z / grid.shape[0])
    return at, np.cumsum((0.03 + peripheral * posterior * basal).astype(np.float64))


def _shape(grid: Grid, centre: NDArray[np.intp], rng: np.random.Generator) -> tuple[Box, Floats]:
    """Level function, below 1 inside, of an uneven blob in a box around ``centre``."""
    radius = RADIUS_MM[0] + (RADIUS_MM[1] - RADIUS_MM[0]) * rng.beta(1.2, 2.2)
    radii = radius * rng.uniform(0.7, 1.3, 3)
    reach = np.ceil(1.7 * radii / [grid.spacing_mm, *grid.pixel_mm]).astype(int)
    box = (
        slice(max(0, centre[0] - reach[0]), centre[0] + reach[0] + 1),
        slice(max(0, centre[1] - reach[1]), centre[1] + reach[1] + 1),
        slice(max(0, centre[2] - reach[2]), centre[2] + reach[2] + 1),
    )
    z = (grid.z[box[0]] - grid.z[centre[0]]) / radii[0]
    y = (grid.y[:, box[1]] - grid.y[:, centre[1]]) / radii[1]
    x = (grid.x[:, :, box[2]] - grid.x[:, :, centre[2]]) / radii[2]
    level = (z**2 + y**2 + x**2).astype(np.float32)
    for _ in range(6):
        wave = rng.normal(0, 3.0, 3)
        level += np.float32(0.14) * np.sin(
            wave[0] * z + wave[1] * y + wave[2] * x + rng.uniform(0, 6.28)
        ).astype(np.float32)
    return box, level


def _paint(hu: Floats, level: Floats, lung: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Raise the attenuation inside a blob; vessels stay visible through ground glass."""
    sharp = rng.uniform(3, 10)
    glass = rng.uniform(*PHANTOM_GROUND_GLASS_HU)
    grain = rng.normal(0, 35, level.shape).astype(np.float32)
    share = np.clip((1.05 - level) * np.float32(sharp) * 0.5, 0, 1)
    target = np.maximum(hu, np.float32(glass) + grain)
    if rng.random() < CORE_SHARE:
        core = level < rng.uniform(0.15, 0.6)
        target[core] = np.float32(rng.uniform(*PHANTOM_CONSOLIDATION_HU)) + grain[core]
    hu[lung] += (share * (target - hu))[lung]
