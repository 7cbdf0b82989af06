"""Train DeCoVNet as Wang et al. 2020 did: one scan a step, whole, and their augmentation.

Adam at a constant rate of 1e-5 without weight decay, batch 1, plain cross-entropy, labels alone,
224 x 336 pixels, every plane of the box of the lungs, 100 times 499 views. What the paper leaves
open is ours: planes lie 1 mm apart (as in the authors' code), classes take turns (the authors' code
repeats cases of the rarer one), the best state on validation cases is kept, and first weights are
those of `pipeline.networks.decovnet`.

Source: IEEE TMI 39(8):2615-2625, 2020, sections III-B, IV-A and IV-B, doi 10.1109/TMI.2020.2995965.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.cases.classifier_input import Floats, Picture, picture_of
from pipeline.cases.prepared import Prepared, Shape, load
from pipeline.classifier.input import GREY_LEVELS, MIN_PLANES
from pipeline.networks.decovnet import NEGATIVE, POSITIVE
from pipeline.training.classifier_task import (
    ClassifierBatch,
    ClassifierTask,
    cells,
    infected_cells,
)
from pipeline.training.fit import Schedule

SCANS, EPOCHS = 499, 100  #: training scans of the paper, and how often each was seen
RATE = 1e-5
ROWS, COLUMNS, SLICE_MM = 224, 336, 1.0
UNBOUNDED = 1e9  #: gradients are not clipped

ANGLE_DEGREES = 10  #: rotation, and shear along rows; whole degrees
SHIFT = 0.1  #: of rows and columns; whole pixels
SCALE = 0.2  #: in tenths
BRIGHTNESS, CONTRAST = 0.5, 0.3  #: in tenths


def paper_schedule(
    steps: int = SCANS * EPOCHS,
    *,
    validate_every: int = SCANS,
    precision: str = "fp32",
    workers: int = 1,
) -> Schedule:
    """Schedule of the paper; AdamW without weight decay is Adam."""
    return Schedule(
        steps=steps,
        validate_every=validate_every,
        patience=steps,  # none: the paper trains to the end
        peak_rate=RATE,
        warm_up=0.0,
        weight_decay=0.0,
        largest_gradient=UNBOUNDED,
        average=0.0,
        precision=precision,
        workers=workers,
        constant=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaperTask(ClassifierTask):
    """Train on one scan a step, by its label alone."""

    def draw(self, step: int) -> ClassifierBatch:
        """Draw one case; positive and negative ones take turns."""
        rng = np.random.default_rng([self.seed, step])
        label = (NEGATIVE, POSITIVE)[step % 2]
        files = self.files.positive if label == POSITIVE else self.files.negative
        case = load(files[int(rng.integers(len(files)))])
        case.require_sampling(self.wanted)
        planes = max(MIN_PLANES, round(case.size_mm[0] / self.wanted.slice_mm) + 1)
        shape = (planes, self.wanted.rows, self.wanted.columns)
        picture = paper_picture(case, shape, self.wanted.window_hu, rng)
        return ClassifierBatch(
            pictures=torch.from_numpy(picture.channels[np.newaxis]),
            labels=torch.tensor([label]),
            lesions=cells(picture.lesions)[None],
            lungs=cells(picture.lungs)[None],
            known=torch.zeros(1),
            infected=torch.from_numpy(infected_cells(picture))[None],
        )

    def losses(self, batch: ClassifierBatch, step: int) -> Mapping[str, Tensor]:
        """Cross-entropy of the score."""
        del step
        device = next(self.network.parameters()).device
        logits, _ = self.network(batch.pictures.to(device))
        return {"score": functional.cross_entropy(logits.float(), batch.labels.to(device))}


def paper_picture(
    case: Prepared, shape: Shape, window_hu: tuple[float, float], rng: np.random.Generator
) -> Picture:
    """Draw a view as the paper does: one affine map and one change of grey for all slices.

    What comes from beyond the box is as dark as the window's lower end.
    """
    low, high = window_hu
    grid = functional.affine_grid(_plane(shape, rng)[None], [1, 1, *shape], align_corners=True)
    stack = np.stack([np.clip(case.hu, low, high) - low, case.lungs, case.lesions])
    sampled = functional.grid_sample(
        torch.from_numpy(stack.astype(np.float32))[None], grid, align_corners=True
    )
    hu, lungs, lesions = sampled[0].numpy()
    seen = picture_of(hu + np.float32(low), lungs, lesions, window_hu)
    grey = _other_grey(seen.channels[0], rng)
    channels = np.stack([grey, seen.lungs])
    return Picture(channels=channels, lungs=seen.lungs, lesions=seen.lesions)


def _plane(shape: Shape, rng: np.random.Generator) -> Tensor:
    """Map ``(3, 4)`` of normalised (x, y, z) of a random turn, shear, scale and shift in-plane."""
    _, rows, columns = shape
    turn, shear = np.deg2rad(rng.integers(-ANGLE_DEGREES, ANGLE_DEGREES, 2, endpoint=True))
    scale = 1 + _tenths(SCALE, rng)
    most = (round(SHIFT * columns), round(SHIFT * rows))
    shift = [float(rng.integers(-bound, bound, endpoint=True)) for bound in most]
    half = np.array([(columns - 1) / 2, (rows - 1) / 2])
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    in_pixels = turned @ np.array([[1.0, np.tan(shear)], [0.0, 1.0]]) / scale
    matrix = np.eye(3, 4, dtype=np.float32)
    matrix[:2, :2] = in_pixels * half[None, :] / half[:, None]
    matrix[:2, 3] = shift / half
    return torch.from_numpy(matrix)


def _other_grey(grey: Floats, rng: np.random.Generator) -> Floats:
    """Change brightness, then contrast about each slice's own mean; 8 bits again."""
    bright = np.clip(grey * (1 + _tenths(BRIGHTNESS, rng)), 0, 1)
    means = bright.mean(axis=(1, 2), keepdims=True)
    found = np.clip(means + (bright - means) * (1 + _tenths(CONTRAST, rng)), 0, 1)
    levels: Floats = (np.floor(found * GREY_LEVELS) / GREY_LEVELS).astype(np.float32)
    return levels


def _tenths(most: float, rng: np.random.Generator) -> float:
    return round(float(rng.uniform(-most, most)), 1)
