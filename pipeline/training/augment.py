"""Draw random views of a prepared case: geometry, then the scanner, then the window.

Ranges follow Wang et al. 2020 (rotation and shear +/-10 degrees, scale +/-20 %), with less
translation and scale, since the box is cut around the lungs, and mirrored every second time;
where pixels have a size, every fourth is upside down as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from pipeline.cases.classifier_input import Floats, Picture, picture_of
from pipeline.cases.prepared import Prepared, Shape
from pipeline.cases.slice_labels import UNKNOWN
from pipeline.classifier.input import sample
from pipeline.model.manifest import ClassifierInput
from pipeline.synthetic.disease.scanner import acquire

ANGLE_DEGREES = 10.0  #: rotation in the plane, and shear
SCALE = 0.12  #: along each axis, either way
SHIFT = 0.05  #: of the box, either way
MIRROR_CHANCE = 0.5  #: of every view but the first, whose map has it
UPSIDE_DOWN_CHANCE = 0.25  #: so that the score does not hang on the order of the slices
NEARLY = 0.01  #: how far a resampled 0 or 1 may be from it
EDGE_PIXELS = 2  #: by which the lungs' mask is widened or narrowed: 3.6 mm at 1.8 mm pixels


def random_pictures(
    case: Prepared,
    shape: Shape,
    wanted: ClassifierInput,
    rng: np.random.Generator,
    *,
    views: int = 1,
) -> list[Picture]:
    """Draw views of a case for a training step.

    They share their geometry and differ as one patient's scans do: another scanner, mirrored every
    second time. Where pixels have a size (`ClassifierInput.sampling` 2), the views keep it, within
    the range of scales; they are upside down now and then, and the lungs' mask is widened or
    narrowed a little, as no mask is sure of its edge.

    Parameters
    ----------
    shape
        Planes, rows, columns of each view.

    Raises
    ------
    PipelineError
        If the case was prepared with another sampling.
    """
    case.require_sampling(wanted)
    matrix, scales = _affine(rng)
    if wanted.pixel_mm is None:
        arrays = _stretched(case, shape, matrix)
        spacing = tuple(
            mm * scale / (n - 1) for mm, scale, n in zip(case.size_mm, scales, shape, strict=True)
        )
    else:
        steps = np.array([wanted.slice_mm, wanted.pixel_mm, wanted.pixel_mm], np.float32)
        arrays = _in_mm(case, shape, matrix, steps)
        spacing = tuple(float(step * scale) for step, scale in zip(steps, scales, strict=True))
    pictures = []
    for view in range(views):
        hu, lungs, lesions, *by_slice = _reversed(arrays, wanted, rng, mirror=view > 0)
        z, y, x = spacing
        scanned = acquire(hu, (z, y, x), lungs, rng)
        seen = lungs if wanted.pixel_mm is None else _with_another_edge(lungs, rng)
        picture = picture_of(scanned, seen, lesions, wanted.window_hu)
        pictures.append(replace(picture, infected=_infected(*by_slice) if by_slice else None))
    return pictures


def _stacked(case: Prepared) -> torch.Tensor:
    """Attenuation, masks and, if slices have labels, which and where they are known.

    Returns
    -------
    Tensor
        ``(3 or 5, planes, rows, columns)`` float32.
    """
    arrays = [case.hu, case.lungs, case.lesions]
    if case.infected is not None:
        planes = case.infected[:, None, None]
        arrays += [np.broadcast_to(mask, case.hu.shape) for mask in (planes > 0, planes >= 0)]
    return torch.from_numpy(np.stack(arrays).astype(np.float32))


def _infected(infected: Floats, known: Floats) -> Floats:
    """Label of each plane ``(planes,)``: that of the nearest stored plane, if it has one.

    Between two that differ it is unknown. No view mixes planes with rows and columns.
    """
    yes, any_ = infected[:, 0, 0], known[:, 0, 0]
    share = yes / np.maximum(any_, NEARLY)
    clear = (any_ > 0.5 - NEARLY) & (np.minimum(share, 1 - share) < NEARLY)
    return np.where(clear, np.rint(share), UNKNOWN).astype(np.float32)


def _stretched(case: Prepared, shape: Shape, matrix: torch.Tensor) -> Floats:
    """Sample the whole box at the places of an affine map."""
    grid = functional.affine_grid(matrix[None], [1, 1, *shape], align_corners=True)
    stack = _stacked(case)[None]
    found: Floats = functional.grid_sample(stack, grid, padding_mode="border", align_corners=True)[
        0
    ].numpy()
    return found


def _in_mm(case: Prepared, shape: Shape, matrix: torch.Tensor, steps: Floats) -> Floats:
    """Sample pixels of the size that the network wants: along the planes, then in the plane.

    The map never mixes planes with rows and columns, and so is much faster than at once.
    """
    drawn_mm = (steps * (np.array(shape, np.float32) - 1))[::-1]  # x, y, z
    stored_mm = np.array(case.size_mm, np.float32)[::-1]
    turned = matrix[:, :3].numpy() * drawn_mm / stored_mm[:, None]
    moved = matrix[:, 3:].numpy() * (drawn_mm / stored_mm)[:, None]
    in_mm = np.concatenate([turned, moved], axis=1).astype(np.float32)
    height = np.linspace(-1, 1, shape[0]) * in_mm[2, 2] + in_mm[2, 3]
    at = (height + 1) / 2 * (case.hu.shape[0] - 1)
    planes = np.stack([sample(array, at, axis=0) for array in _stacked(case).numpy()], axis=1)
    plane = torch.from_numpy(in_mm[:2][:, [0, 1, 3]])[None]
    grid = functional.affine_grid(plane, [1, 1, *shape[1:]], align_corners=True)
    sampled = functional.grid_sample(
        torch.from_numpy(planes),
        grid.expand(len(planes), -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )
    found: Floats = sampled.numpy().swapaxes(0, 1)
    return found


def _reversed(
    arrays: Floats, wanted: ClassifierInput, rng: np.random.Generator, *, mirror: bool
) -> Floats:
    """Mirror the arrays ``(masks, planes, rows, columns)``, and turn them round, at random."""
    if mirror and rng.random() < MIRROR_CHANCE:
        arrays = arrays[..., ::-1]
    if wanted.pixel_mm is not None and rng.random() < UPSIDE_DOWN_CHANCE:
        arrays = arrays[:, ::-1]
    return np.ascontiguousarray(arrays)


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
