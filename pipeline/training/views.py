"""Random views of a chest: geometry, then the picture's quality.

Ranges follow Wang et al. 2020 (rotation and shear +/-10 degrees, scale +/-20 %), with less
translation, since the box is cut around the lungs, and with brightness in HU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from pipeline.network_input import window
from pipeline.training.chests import Chest, Spacing

ANGLE_DEGREES = 10.0  #: rotation in the plane, and shear
SCALE = 0.12  #: along each axis, either way
SHIFT = 0.05  #: of the box, either way
NOISE_HU = (2.0, 45.0)
AIR_HU = -1000.0

Shape = tuple[int, int, int]
Floats = NDArray[np.float32]


@dataclass(slots=True, kw_only=True, eq=False)
class View:
    """A chest as one training step sees it; the painters change it in place.

    Attributes
    ----------
    hu, lungs, lesions, depth_mm
        ``(planes, rows, columns)`` float32; masks 0..1. See `Chest`.
    spacing_mm
        Between voxel centres along each axis, as anatomy goes.
    """

    hu: Floats
    lungs: Floats
    lesions: Floats
    depth_mm: Floats
    spacing_mm: Spacing

    def copy(self) -> View:
        """Give the same view, to be painted differently."""
        return View(
            hu=self.hu.copy(),
            lungs=self.lungs,
            lesions=self.lesions.copy(),
            depth_mm=self.depth_mm,
            spacing_mm=self.spacing_mm,
        )


def view_of(chest: Chest, shape: Shape, rng: np.random.Generator) -> View:
    """Sample a chest on a smaller grid through a random affine map."""
    matrix, scales = _affine(rng)
    grid = functional.affine_grid(matrix[None], [1, 1, *shape], align_corners=False)
    stack = np.stack([chest.hu, chest.lungs, chest.lesions, chest.depth_mm]).astype(np.float32)
    sampled = functional.grid_sample(
        torch.from_numpy(stack)[None], grid, padding_mode="border", align_corners=False
    )
    hu, lungs, lesions, depth_mm = sampled[0].numpy()
    spacing = [mm * s / n for mm, s, n in zip(chest.size_mm, scales, shape, strict=True)]
    return View(
        hu=hu,
        lungs=lungs,
        lesions=lesions,
        depth_mm=depth_mm * (lungs >= 0.5),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
    )


def _affine(rng: np.random.Generator) -> tuple[torch.Tensor, Floats]:
    """Map ``(3, 4)`` of normalised (x, y, z), and its scale along (z, y, x)."""
    turn, shear = np.deg2rad(rng.uniform(-ANGLE_DEGREES, ANGLE_DEGREES, 2))
    x, y, z = 1 + rng.uniform(-SCALE, SCALE, 3)
    mirror = rng.choice([-1.0, 1.0])
    plane = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    plane = plane @ np.array([[x * mirror, np.tan(shear)], [0.0, y]])
    matrix = np.zeros((3, 4), np.float32)
    matrix[:2, :2], matrix[2, 2] = plane, z
    matrix[:, 3] = rng.uniform(-SHIFT, SHIFT, 3)
    return torch.from_numpy(matrix), np.array([z, y, x], np.float32)


def picture(view: View, window_hu: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Network input ``(2, planes, rows, columns)``: kernel, noise, calibration, window."""
    hu = view.hu
    kernel = rng.uniform(-0.6, 0.8)  # below 0 blurs, above 0 sharpens
    soft = ndimage.gaussian_filter(hu, (0.4 * (kernel < 0), 0.8, 0.8), truncate=2.0)
    hu = hu + np.float32(kernel) * (hu - soft)
    grain = rng.standard_normal(hu.shape, dtype=np.float32)
    if rng.random() < 0.5:
        grain = 2 * ndimage.gaussian_filter(grain, (0.0, 0.8, 0.8), truncate=2.0)
    hu = hu + grain * np.float32(rng.uniform(*NOISE_HU))
    hu = (hu - AIR_HU) * np.float32(rng.uniform(0.93, 1.07)) + AIR_HU + rng.uniform(-25, 25)
    return np.stack([window(hu, window_hu), (view.lungs >= 0.5).astype(np.float32)])
