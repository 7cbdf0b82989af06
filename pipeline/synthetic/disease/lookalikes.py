"""Paint look-alikes of COVID-19 that fill no single place: motion, emphysema, fibrosis, vessels.

Each takes a ``strength`` of 0 to 1: near 0 what healthy people show, near 1 the disease.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.synthetic.disease.shapes import (
    FLUID_HU,
    Floats,
    View,
    airspace,
    behind_mm,
    between,
    flood,
    hilum,
    net,
    noise,
)

EMPTY_HU = (-1000.0, -960.0)  #: of a hole without lung tissue
LOOKALIKE_LUNG_HU = np.float32(-900.0)  #: aerated, without vessels
BREATH_SHARE = (-0.06, 0.13)  #: of the air: deeper in, deeper out
LOOKALIKE_VESSEL_MIN_HU = np.float32(-700.0)  #: lung above it is vessel, at least in part


def paint_breath(view: View, rng: np.random.Generator) -> None:
    """Breathe in a little deeper or a little less deep."""
    flood(view.hu, view.lungs * np.float32(rng.uniform(*BREATH_SHARE)))


def paint_dependent(view: View, rng: np.random.Generator, strength: float) -> None:
    """Raise the density towards the back on both sides; collapse it there if strong."""
    weight = np.exp(-np.maximum(behind_mm(view), 0) / (rng.uniform(4, 10) + 12 * strength))
    rows = np.linspace(0, 1, view.hu.shape[1], dtype=np.float32)[None, :, None]
    z = np.linspace(0, 1, view.hu.shape[0], dtype=np.float32)[:, None, None]
    weight = (
        weight * np.clip((rows - 0.4) / 0.2, 0, 1) * np.clip(1.15 - z * rng.uniform(0, 1), 0, 1)
    )
    uneven = 1 + 0.3 * noise(view.hu.shape, view.spacing_mm, 12.0, rng)
    share = np.clip(between((0.0, 0.9), strength) * weight * uneven, 0, 0.95)
    flood(view.hu, share.astype(np.float32) * airspace(view))


def paint_bands(view: View, rng: np.random.Generator, most: int = 4) -> None:
    """Plate-like atelectasis: thin, tilted sheets near the base."""
    planes, rows, columns = view.hu.shape
    z, y, x = (
        np.arange(n, dtype=np.float32).reshape(np.roll((-1, 1, 1), axis)) * mm
        for axis, (n, mm) in enumerate(zip(view.hu.shape, view.spacing_mm, strict=True))
    )
    height, depth, width = (
        planes * view.spacing_mm[0],
        rows * view.spacing_mm[1],
        columns * view.spacing_mm[2],
    )
    lungs = airspace(view)
    for _ in range(int(rng.integers(1, most + 1))):
        tilt = rng.normal(0, 0.25, 2)
        middle = rng.uniform(0.1, 0.9) * width, rng.uniform(0.4, 0.95) * depth
        away = (
            z
            - rng.uniform(0.08, 0.4) * height
            - tilt[0] * (y - middle[1])
            - tilt[1] * (x - middle[0])
        )
        aside = np.abs(x - middle[0]) / rng.uniform(15, 40) + np.abs(y - middle[1]) / rng.uniform(
            15, 45
        )
        near = np.clip(4 * (1 - aside), 0, 1)
        share = np.clip(1.3 - np.abs(away) / rng.uniform(1.5, 3), 0, 1) * near
        flood(view.hu, share * lungs * np.float32(rng.uniform(0.5, 1)))


def paint_emphysema(view: View, rng: np.random.Generator, strength: float) -> None:
    """Punch holes of nearly pure air, more at the apex; thin the lung between them."""
    z = np.linspace(0, 1, view.hu.shape[0], dtype=np.float32)[:, None, None]
    holes = noise(view.hu.shape, view.spacing_mm, rng.uniform(2, 5) + 3 * strength, rng)
    limit = 2.2 - 1.6 * strength + rng.uniform(0.0, 0.8) * (0.5 - z)
    hole = np.clip((holes - limit) / 0.6, 0, 1) * view.lungs * (view.hu < LOOKALIKE_VESSEL_MIN_HU)
    empty = np.float32(between(EMPTY_HU, rng.random()))
    view.hu += hole * (empty - view.hu)
    flood(view.hu, np.float32(-0.05 * strength) * view.lungs)


def paint_fibrosis(view: View, rng: np.random.Generator, strength: float) -> None:
    """Thicken septa at the periphery of both bases; honeycombs if strong."""
    z = np.linspace(0, 1, view.hu.shape[0], dtype=np.float32)[:, None, None]
    rim_mm = between((5.0, 20.0), strength) * rng.uniform(0.7, 1.3)
    patchy = np.clip(0.7 + 0.5 * noise(view.hu.shape, view.spacing_mm, 15.0, rng), 0, 1)
    where = np.clip((rim_mm - view.depth_mm) / 6, 0, 1) * patchy * airspace(view)
    where *= np.clip(1.3 - z / rng.uniform(0.4, 0.9), 0, 1)
    walls = net(view.hu.shape, view.spacing_mm, rng.uniform(2.5, 4.5), rng)
    if strength > 0.5:  # the meshes are cysts of air
        cyst = where * (walls < 0.15) * (view.hu < LOOKALIKE_VESSEL_MIN_HU + 250)
        view.hu += (cyst * rng.uniform(0, 0.7) * (np.float32(-960.0) - view.hu)).astype(np.float32)
    flood(view.hu, where * between((0.2, 0.7), strength) * (0.3 + 0.7 * walls))


def paint_motion(view: View, rng: np.random.Generator, strength: float) -> None:
    """Double and blur domes, heart and vessels along the body, most near the base."""
    if strength > 0.3:
        moved = view.hu
        reach = (1 + 2 * strength, 2 * strength, 2 * strength)
        for axis in range(3):
            shift = round(rng.uniform(-1, 1) * reach[axis]) or int(axis == 0)
            length = view.hu.shape[axis]
            moved = np.take(moved, np.clip(np.arange(length) + shift, 0, length - 1), axis)
        z = np.linspace(0, 1, view.hu.shape[0], dtype=np.float32)[:, None, None]
        weight = rng.uniform(0.3, 0.6) * np.clip(1.2 - z / rng.uniform(0.5, 1.2), 0, 1)
        view.hu += weight * (moved - view.hu)
    sigma = 0.3 + rng.uniform(0.5, 1.2) * strength
    ndimage.gaussian_filter1d(view.hu, sigma, axis=0, output=view.hu, truncate=2.5)


def paint_vessels(view: View, rng: np.random.Generator, strength: float) -> None:
    """Widen the vessels around the hila and at the base, as in congestion."""
    excess = np.clip(view.hu - LOOKALIKE_VESSEL_MIN_HU, 0, None) * (view.lungs >= 0.5)
    sigma = (0.3, 0.5 + 0.6 * strength, 0.5 + 0.6 * strength)
    spread = ndimage.gaussian_filter(excess, sigma, truncate=2.5)
    wide = np.minimum(LOOKALIKE_LUNG_HU + (2.0 + 1.5 * strength) * spread, np.float32(FLUID_HU))
    view.hu += _central(view) * view.lungs * np.maximum(wide - view.hu, 0)
    flood(view.hu, np.float32(0.08 * strength * rng.random()) * view.lungs)


def _central(view: View) -> Floats:
    """Fade from 1 at the hila and the bases to 0 at the rim and the apices."""
    planes, rows, columns = view.hu.shape
    z, y, x = np.ogrid[:planes, :rows, :columns]
    near = np.zeros(view.hu.shape, np.float32)
    for side in range(2):
        middle = hilum(view, side)
        away = (
            ((z - middle[0]) / (0.5 * planes)) ** 2
            + ((y - middle[1]) / (0.45 * rows)) ** 2
            + ((x - middle[2]) / (0.28 * columns)) ** 2
        )
        np.maximum(near, 1.3 - away.astype(np.float32), out=near)
    basal = np.clip(1 - z / (0.4 * planes), 0, 1).astype(np.float32)
    central: Floats = np.clip(np.maximum(near, basal), 0, 1) * np.clip(view.depth_mm / 4, 0, 1)
    return central
