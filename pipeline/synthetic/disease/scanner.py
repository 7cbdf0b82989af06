"""Simulate a scanner on a chest: contrast medium, resolution, kernel, noise, field of view.

Domain randomisation for training. What happens is the same for every class.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.synthetic.disease.shapes import Floats, Spacing, between, noise

CONTRAST_CHANCE = 0.3
CONTRAST_HU = (60.0, 230.0)  #: added to blood, at most
THICK_CHANCE = 0.35
THICK_MM = (1.0, 3.5)  #: standard deviation of the blur along the body
COARSE_CHANCE = 0.2
COARSE_MM = (0.6, 1.4)  #: standard deviation of the blur in the plane
KERNEL = (-0.9, 1.3)  #: share of the fine detail added: -1 removes it, above 0 overshoots
KERNEL_MM = (0.8, 1.6)  #: what counts as fine detail
SCANNER_NOISE_HU = (2.0, 60.0)  #: standard deviation, log-uniform
NOISE_GRAIN_MM = (1.5, 4.0)
STREAK_CHANCE = 0.15
STREAK_LENGTH = 15.0  #: of a streak, in its widths
SCALE = 0.05  #: of attenuation above air, either way
OFFSET_HU = 20.0  #: either way
PADDING_CHANCE = 0.15
PADDING_HU = (-1024.0, -2000.0, -3024.0)  #: as scanners write it outside the field
SCANNER_AIR_HU = -1000.0


def acquire(hu: Floats, spacing_mm: Spacing, lungs: Floats, rng: np.random.Generator) -> Floats:
    """Draw a scanner and a protocol, and scan the chest with them.

    Parameters
    ----------
    hu
        ``(planes, rows, columns)`` float32, HU; left as it is.
    spacing_mm
        Between voxel centres, along planes, rows, columns.
    lungs
        Mask of the same shape, 0..1: tells the mediastinum and the field of view.
    rng
        Source of all chance.

    Returns
    -------
    Picture of the same shape, float32, HU.
    """
    if rng.random() < CONTRAST_CHANCE:
        hu = hu + _enhancement(hu, spacing_mm, lungs, rng)
    hu = _sharpness(hu, spacing_mm, rng)
    hu = hu + _grain(hu.shape, spacing_mm, rng)
    hu = (hu - SCANNER_AIR_HU) * np.float32(rng.uniform(1 - SCALE, 1 + SCALE)) + np.float32(
        SCANNER_AIR_HU + rng.uniform(-OFFSET_HU, OFFSET_HU)
    )
    if rng.random() < PADDING_CHANCE:
        hu = _padded(hu, spacing_mm, lungs, rng)
    return hu


def _enhancement(
    hu: Floats, spacing_mm: Spacing, lungs: Floats, rng: np.random.Generator
) -> Floats:
    """How much contrast medium adds to each voxel: blood between the lungs, vessels in them."""
    from_left = np.maximum.accumulate(lungs, axis=2)
    from_right = np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    middle = ndimage.uniform_filter(from_left * from_right, (1, 13, 13))
    soft = ndimage.uniform_filter(hu, (1, 3, 3))
    blood = np.clip(soft / 30, 0, 1) * np.clip((150 - soft) / 50, 0, 1) * (1 - lungs)
    vessels = 0.5 * np.clip((hu + 500) / 550, 0, 1) ** 2 * lungs
    chambers = np.clip(0.65 + 0.35 * noise(hu.shape, spacing_mm, 30.0, rng), 0, 1)
    peak = np.float32(between(CONTRAST_HU, rng.random()))
    added: Floats = peak * chambers * (blood + vessels) * middle
    return added


def _sharpness(hu: Floats, spacing_mm: Spacing, rng: np.random.Generator) -> Floats:
    """Blur by thick slices and large pixels; then apply the kernel, soft to sharp."""
    if rng.random() < THICK_CHANCE:
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(*THICK_MM) / spacing_mm[0], 0, truncate=2.5)
    if rng.random() < COARSE_CHANCE:
        hu = _blurred(hu, spacing_mm, rng.uniform(*COARSE_MM))
    smooth = _blurred(hu, spacing_mm, rng.uniform(*KERNEL_MM))
    return hu + np.float32(rng.uniform(*KERNEL)) * (hu - smooth)


def _blurred(hu: Floats, spacing_mm: Spacing, sigma_mm: float) -> Floats:
    """Blur in the plane."""
    sigma = (0, sigma_mm / spacing_mm[1], sigma_mm / spacing_mm[2])
    blurred: Floats = ndimage.gaussian_filter(hu, sigma, truncate=2.5)
    return blurred


def _grain(shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator) -> Floats:
    """Noise of a dose and a texture: white or coarse; with streaks now and then."""
    sigma = np.float32(
        np.exp(between((np.log(SCANNER_NOISE_HU[0]), np.log(SCANNER_NOISE_HU[1])), rng.random()))
    )
    if rng.random() < 0.5:
        grain = rng.standard_normal(shape, dtype=np.float32)
    else:
        grain = noise(shape, spacing_mm, rng.uniform(*NOISE_GRAIN_MM), rng)
    if rng.random() < STREAK_CHANCE:  # across the shoulders, where most is absorbed
        z, y, x = spacing_mm
        streaks = noise(shape, (z, y, x / STREAK_LENGTH), 2.0, rng)
        height = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
        grain += streaks * np.clip(4 * (height - rng.uniform(0.4, 0.8)), 0.15, 1.5)
    return sigma * grain


def _padded(hu: Floats, spacing_mm: Spacing, lungs: Floats, rng: np.random.Generator) -> Floats:
    """Cut a round field that just holds the lungs."""
    _, rows, columns = hu.shape
    y = (np.arange(rows) - (rows - 1) / 2)[:, None] * spacing_mm[1]
    x = (np.arange(columns) - (columns - 1) / 2)[None, :] * spacing_mm[2]
    away = np.sqrt(y**2 + x**2)
    reached = away[(lungs >= 0.5).any(axis=0)]
    radius = rng.uniform(1.0, 1.1) * (float(reached.max()) if reached.size else float(away.max()))
    return np.where(away > radius, np.float32(rng.choice(PADDING_HU)), hu)
