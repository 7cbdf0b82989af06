"""Paint opacities of COVID-19 into healthy lungs, and look-alikes that are none.

COVID-19 pneumonia on CT: bilateral, peripheral, posterior and basal ground-glass opacities with
vessels still visible, consolidation later (Bernheim et al. 2020, doi:10.1148/radiol.2020200463).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.training.views import Floats, View

GROUND_GLASS_HU = (-680.0, -320.0)
CONSOLIDATION_HU = (-150.0, 40.0)
SOLID_HU = (0.0, 70.0)
AERATED_HU = -500.0  #: below it a lung voxel holds air
LESION_RADIUS_MM = (6.0, 45.0)
NODULE_RADIUS_MM = (2.0, 14.0)
MAX_LESIONS = 12
CORED_SHARE = 0.5  #: of the chests, in which some opacities are consolidated
LEAST_SHARE = 0.001  #: of the lungs: less painted is no positive picture
ATTEMPTS = 40
LESION_LEVEL = 0.35  #: share of ground glass from which a voxel counts as lesion


def paint_lesions(view: View, rng: np.random.Generator) -> None:
    """Add 1 to 12 opacities; more, if those came out too faint to see."""
    places = _Places(view)
    texture = _texture(view, rng)
    share, core = np.zeros_like(view.hu), np.zeros_like(view.hu)
    cored = rng.random() < CORED_SHARE
    count = 1 + int(rng.beta(0.9, 1.6) * MAX_LESIONS)
    enough = LEAST_SHARE * view.lungs.sum()
    for attempt in range(ATTEMPTS):
        if attempt >= count and np.count_nonzero(share * view.lungs >= LESION_LEVEL) >= enough:
            break
        part, level = _blob(view, places.draw(rng), _radii(rng))
        level = level + 0.45 * texture[part]
        edge = rng.uniform(0.15, 0.6)
        np.maximum(share[part], np.clip((1 - level) / edge, 0, 1), out=share[part])
        if cored and rng.random() < 0.6:
            inner = np.clip((rng.uniform(0.2, 0.6) - level) / 0.2, 0, 1)
            np.maximum(core[part], inner, out=core[part])
    share *= view.lungs
    grain = rng.uniform(20, 70) * texture
    _fill(view.hu, share, _between(GROUND_GLASS_HU, rng.random()) + grain)
    _fill(view.hu, core * share, _between(CONSOLIDATION_HU, rng.random()) + 0.5 * grain)
    np.maximum(view.lesions, share >= LESION_LEVEL, out=view.lesions)


def _radii(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Half the extent of a lesion along each axis, mm; small ones are commoner."""
    radius = _between(LESION_RADIUS_MM, rng.beta(1.1, 2.6))
    return np.asarray(radius * rng.uniform(0.6, 1.4, 3))


def paint_lookalikes(view: View, rng: np.random.Generator) -> None:
    """Add what healthy or otherwise ill lungs show: a pair of pictures gets the same."""
    aerated = view.lungs * (view.hu < AERATED_HU)
    view.hu += aerated * np.float32(rng.uniform(-50, 80))  # depth of the breath
    rows = np.linspace(0, 1, view.hu.shape[1], dtype=np.float32)[None, :, None]
    weight = np.exp((rows - 1) / rng.uniform(0.06, 0.2))
    view.hu += aerated * weight * np.float32(rng.uniform(0, 160))  # dependent density
    if rng.random() < 0.3:  # breathing smears domes and vessels along the body
        view.hu[:] = ndimage.gaussian_filter1d(view.hu, rng.uniform(0.5, 1.6), axis=0)
    if rng.random() < 0.4:
        _paint_nodules(view, rng)
    if rng.random() < 0.2:
        _paint_band(view, rng)
    if rng.random() < 0.2:
        _paint_emphysema(view, rng)


def _paint_nodules(view: View, rng: np.random.Generator) -> None:
    """Solid, sharply bounded, round: tumours and granulomas."""
    inside = np.argwhere(view.depth_mm > 3)
    for _ in range(int(rng.integers(1, 4)) if len(inside) else 0):
        radius = _between(NODULE_RADIUS_MM, rng.beta(1.0, 2.5))
        centre = inside[rng.integers(len(inside))]
        part, level = _blob(view, centre, radius * rng.uniform(0.85, 1.15, 3))
        share = np.clip((1.1 - level) / 0.2, 0, 1) * view.lungs[part]
        _fill(view.hu[part], share, np.float32(_between(SOLID_HU, rng.random())))


def _paint_band(view: View, rng: np.random.Generator) -> None:
    """Plate-like atelectasis: a thin, slightly tilted sheet near the base."""
    planes, rows, columns = view.hu.shape
    z, y, x = np.ogrid[:planes, :rows, :columns]
    height = planes * rng.uniform(0.12, 0.4)
    tilt = rng.normal(0, 0.15, 2)
    away = np.abs(z - height - tilt[0] * (y - rows / 2) * 0.3 - tilt[1] * (x - columns / 2) * 0.3)
    near = np.abs(x - rng.uniform(0.1, 0.9) * columns) < rng.uniform(0.05, 0.15) * columns
    share = np.clip(1.2 - away * view.spacing_mm[0] / 2.5, 0, 1) * near * view.lungs
    _fill(view.hu, share.astype(np.float32), np.float32(rng.uniform(-250, 20)))


def _paint_emphysema(view: View, rng: np.random.Generator) -> None:
    """Holes of nearly pure air."""
    holes = _texture(view, rng) > rng.uniform(0.8, 1.6)
    hole = holes & (view.lungs >= 0.5) & (view.hu < AERATED_HU)
    view.hu[hole] = rng.uniform(-990, -950)


class _Places:
    """Where lesions like to be: at the periphery, at the back, at the base."""

    def __init__(self, view: View) -> None:
        inside = np.argwhere(view.lungs >= 0.5)
        if len(inside) == 0:
            raise ValueError("expected lung voxels to paint lesions into, got none")
        z, y, _ = (inside / view.hu.shape).T
        peripheral = np.exp(-view.depth_mm[tuple(inside.T)] / 10.0)
        self._inside = inside
        self._weights = np.cumsum((0.05 + peripheral) * (0.3 + y) * (1.3 - z))

    def draw(self, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        at = np.searchsorted(self._weights, rng.random() * self._weights[-1])
        centre: np.ndarray[tuple[int], np.dtype[np.intp]] = self._inside[at]
        return centre


def _blob(
    view: View,
    centre: np.ndarray[tuple[int], np.dtype[np.intp]],
    radii_mm: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[tuple[slice, slice, slice], Floats]:
    """Box around a centre, and squared distance in radii there (1 on the ellipsoid)."""
    parts, axes = [], []
    for axis in range(3):
        reach = int(np.ceil(1.5 * radii_mm[axis] / view.spacing_mm[axis])) + 1
        start = max(0, int(centre[axis]) - reach)
        stop = min(view.hu.shape[axis], int(centre[axis]) + reach + 1)
        parts.append(slice(start, stop))
        away = (np.arange(start, stop) - centre[axis]) * view.spacing_mm[axis] / radii_mm[axis]
        axes.append((away**2).astype(np.float32))
    level = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    return (parts[0], parts[1], parts[2]), level


def _texture(view: View, rng: np.random.Generator) -> Floats:
    """Noise of standard deviation 1 with grains of a few mm and of a centimetre."""
    total = np.zeros_like(view.hu)
    for grain_mm in (rng.uniform(2, 4), rng.uniform(6, 12)):
        white = rng.standard_normal(view.hu.shape, dtype=np.float32)
        sigma = [grain_mm / mm for mm in view.spacing_mm]
        smooth = ndimage.gaussian_filter(white, sigma, truncate=2.0)
        total += smooth / smooth.std()
    return total / np.float32(np.sqrt(2))


def _fill(hu: Floats, share: Floats, target: Floats | np.float32) -> None:
    """Move attenuation up towards a target, as far as ``share`` says; denser voxels stay."""
    hu += share * np.maximum(target - hu, 0)


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * share
