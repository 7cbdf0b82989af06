"""Random views of a prepared case: geometry, then the scanner, then the window.

Ranges follow Wang et al. 2020 (rotation and shear +/-10 degrees, scale +/-20 %), with less
translation and scale, since the box is cut around the lungs, and mirrored every second time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.cases.prepared import Prepared, Shape
from pipeline.classifier.input import MIN_PLANES, resize, window
from pipeline.model.manifest import ClassifierInput
from pipeline.synthetic.disease.scanner import acquire

ANGLE_DEGREES = 10.0  #: rotation in the plane, and shear
SCALE = 0.12  #: along each axis, either way
SHIFT = 0.05  #: of the box, either way
MASK_LEVEL = 0.5

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A case as a classifier sees it.

    Attributes
    ----------
    seen
        ``(2, planes, rows, columns)`` float32: attenuation 0..1, lung mask 0/1.
    lungs, lesions
        ``(planes, rows, columns)`` float32, 0 or 1.
    """

    seen: Floats
    lungs: Floats
    lesions: Floats


def random_picture(
    case: Prepared, shape: Shape, window_hu: tuple[float, float], rng: np.random.Generator
) -> Picture:
    """Draw a view of a case for a training step."""
    matrix, scales = _affine(rng)
    grid = functional.affine_grid(matrix[None], [1, 1, *shape], align_corners=True)
    stack = torch.from_numpy(np.stack([case.hu, case.lungs, case.lesions]).astype(np.float32))
    sampled = functional.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)
    hu, lungs, lesions = sampled[0].numpy()
    z, y, x = (
        mm * scale / (n - 1) for mm, scale, n in zip(case.size_mm, scales, shape, strict=True)
    )
    return _picture(acquire(hu, (z, y, x), lungs, rng), lungs, lesions, window_hu)


def plain_picture(case: Prepared, wanted: ClassifierInput) -> Picture:
    """See a case as the node does: the whole box, planes `slice_mm` apart."""
    planes = max(MIN_PLANES, round(case.size_mm[0] / wanted.slice_mm) + 1)
    shape = (planes, wanted.rows, wanted.columns)
    hu, lungs, lesions = (resize(each, shape) for each in (case.hu, case.lungs, case.lesions))
    return _picture(hu, lungs, lesions, wanted.window_hu)


def _picture(hu: Floats, lungs: Floats, lesions: Floats, window_hu: tuple[float, float]) -> Picture:
    lungs, lesions = ((mask >= MASK_LEVEL).astype(np.float32) for mask in (lungs, lesions))
    return Picture(seen=np.stack([window(hu, window_hu), lungs]), lungs=lungs, lesions=lesions)


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
