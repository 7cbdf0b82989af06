"""Draw random views of a prepared case: geometry, then the scanner, then the window.

Ranges follow Wang et al. 2020 (rotation and shear +/-10 degrees, scale +/-20 %), with less
translation and scale, since the box is cut around the lungs, and mirrored every second time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from pipeline.cases.classifier_input import Floats, Picture, picture_of
from pipeline.cases.prepared import Prepared, Shape
from pipeline.model.manifest import ClassifierInput
from pipeline.synthetic.disease.scanner import acquire

ANGLE_DEGREES = 10.0  #: rotation in the plane, and shear
SCALE = 0.12  #: along each axis, either way
SHIFT = 0.05  #: of the box, either way
EDGE_PIXELS = 2  #: by which the lungs' mask is widened or narrowed: 3.6 mm at 1.8 mm pixels


def random_picture(
    case: Prepared, shape: Shape, wanted: ClassifierInput, rng: np.random.Generator
) -> Picture:
    """Draw a view of a case for a training step.

    Where pixels have a size (`ClassifierInput.sampling` 2), the view keeps it, within the range
    of scales, and the lungs' mask is widened or narrowed a little, as no mask is sure of its edge.

    Raises
    ------
    PipelineError
        If the case was prepared with another sampling.
    """
    case.require_sampling(wanted)
    if wanted.pixel_mm is not None:
        return _picture_in_mm(case, shape, wanted, rng)
    matrix, scales = _affine(rng)
    grid = functional.affine_grid(matrix[None], [1, 1, *shape], align_corners=True)
    stack = torch.from_numpy(np.stack([case.hu, case.lungs, case.lesions]).astype(np.float32))
    sampled = functional.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)
    hu, lungs, lesions = sampled[0].numpy()
    z, y, x = (
        mm * scale / (n - 1) for mm, scale, n in zip(case.size_mm, scales, shape, strict=True)
    )
    return picture_of(acquire(hu, (z, y, x), lungs, rng), lungs, lesions, wanted.window_hu)


def _picture_in_mm(
    case: Prepared, shape: Shape, wanted: ClassifierInput, rng: np.random.Generator
) -> Picture:
    """Draw a view whose pixels have the size that the network wants."""
    matrix, scales = _affine(rng)
    steps = np.array([wanted.slice_mm, wanted.pixel_mm, wanted.pixel_mm], np.float32)
    drawn_mm = (steps * (np.array(shape, np.float32) - 1))[::-1]  # x, y, z
    stored_mm = np.array(case.size_mm, np.float32)[::-1]
    turned = matrix[:, :3].numpy() * drawn_mm / stored_mm[:, None]
    moved = matrix[:, 3:].numpy() * (drawn_mm / stored_mm)[:, None]
    in_mm = torch.from_numpy(np.concatenate([turned, moved], axis=1).astype(np.float32))
    grid = functional.affine_grid(in_mm[None], [1, 1, *shape], align_corners=True)
    stack = torch.from_numpy(np.stack([case.hu, case.lungs, case.lesions]).astype(np.float32))
    sampled = functional.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)
    hu, lungs, lesions = sampled[0].numpy()
    z, y, x = (float(step * scale) for step, scale in zip(steps, scales, strict=True))
    seen = _with_another_edge(lungs, rng)
    return picture_of(acquire(hu, (z, y, x), lungs, rng), seen, lesions, wanted.window_hu)


def _with_another_edge(lungs: Floats, rng: np.random.Generator) -> Floats:
    """Widen or narrow the lungs in the plane by up to `EDGE_PIXELS`."""
    pixels = int(rng.integers(-EDGE_PIXELS, EDGE_PIXELS + 1))
    side = 2 * abs(pixels) + 1
    mask = torch.from_numpy(lungs)[:, None] * np.sign(pixels or 1)
    grown: Floats = functional.max_pool2d(mask, side, 1, abs(pixels))[:, 0].numpy()
    return grown * np.float32(np.sign(pixels or 1))


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
