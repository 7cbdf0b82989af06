"""Training task of the lungs' UNet: slices of phantoms and real chests, augmented."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.fit import GOAL
from pipeline.training.lung_slices import (
    Slices,
    paint_fluid,
    paint_opacities,
    paint_organ,
    paint_solid_lobe,
)

LUNG_TASK_WINDOW_HU = (-1200.0, 600.0)
REAL_SHARE = 0.6  #: of a batch, when there are real series
EMPTY_SHARE = 0.15  #: of the slices: such without lung, as of liver and spleen
PAINTED_SHARE = 0.6  #: of the slices: such with disease painted in
SOLID_SHARE = 0.3  #: of those: a solid lobe
FLUID_SHARE = 0.1  #: of those: fluid behind a lung
ORGAN_SHARE = 0.3  #: of those: an organ below a raised diaphragm
VALIDATED_AT_A_TIME = 8  #: slices

#: Slices ``(B, 1, size, size)`` of 0..1 and their lungs ``(B, size, size)`` int64.
LungBatch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Slices of one origin, and which of them have lung.

    Attributes
    ----------
    full, empty
        Indices of the slices with and without lung.
    """

    slices: Slices
    full: np.ndarray[tuple[int], np.dtype[np.intp]]
    empty: np.ndarray[tuple[int], np.dtype[np.intp]]

    @classmethod
    def of(cls, slices: Slices) -> Pool:
        """Sort slices by whether they have lung."""
        with_lung = slices.lungs.any(axis=(1, 2))
        return cls(slices=slices, full=np.flatnonzero(with_lung), empty=np.flatnonzero(~with_lung))

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw one slice ``(1, 256, 256)`` in HU, perhaps painted on, and its lungs."""
        without_lung = len(self.empty) > 0 and rng.random() < EMPTY_SHARE
        at = rng.choice(self.empty if without_lung else self.full)
        hu, lungs = self.slices.hu[at].astype(np.float32), self.slices.lungs[at]
        if rng.random() < PAINTED_SHARE:
            lungs = painted(hu, lungs, rng)
        return torch.from_numpy(hu)[None], torch.from_numpy(lungs.astype(np.float32))[None]


def painted(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Paint one disease into a slice ``(rows, columns)``, in place; gives the lungs it leaves."""
    kind = rng.random()
    if kind < FLUID_SHARE:
        return paint_fluid(hu, lungs, rng)
    if kind < FLUID_SHARE + ORGAN_SHARE:
        return paint_organ(hu, lungs, rng)
    paint = paint_solid_lobe if kind < FLUID_SHARE + ORGAN_SHARE + SOLID_SHARE else paint_opacities
    paint(hu, lungs, rng)
    return lungs


def with_painted(slices: Slices, seed: int) -> Slices:
    """Slices as they are, and each once more with disease, the same ones each time."""
    hu, lungs = slices.hu.astype(np.float32), slices.lungs.copy()
    for number, (image, mask) in enumerate(zip(hu, lungs, strict=True)):
        mask[:] = painted(image, mask.copy(), np.random.default_rng([seed, number]))
    return Slices(
        hu=np.concatenate([slices.hu, np.rint(hu).astype(np.int16)]),
        lungs=np.concatenate([slices.lungs, lungs]),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungTask:
    """Train the UNet of the lungs; see `pipeline.training.fit.TrainingTask`.

    Attributes
    ----------
    phantoms, real
        To train on; either may be empty, not both.
    held_out
        To validate on.
    size
        Rows and columns of the network's input.
    batch
        Slices a step.
    """

    network: nn.Module
    phantoms: Sequence[Pool]
    real: Sequence[Pool]
    held_out: Slices
    size: int
    batch: int
    seed: int

    def draw(self, step: int) -> LungBatch:
        """Draw slices of real chests or phantoms, and augment them."""
        rng = np.random.default_rng([self.seed, step])
        pairs = [self._pool(rng).draw(rng) for _ in range(self.batch)]
        hu = torch.stack([hu for hu, _ in pairs])
        lungs = torch.stack([lungs for _, lungs in pairs])
        return augment(hu, lungs, self.size, rng)

    def _pool(self, rng: np.random.Generator) -> Pool:
        use_real = len(self.real) > 0 and (not self.phantoms or rng.random() < REAL_SHARE)
        pools = self.real if use_real else self.phantoms
        return pools[int(rng.integers(len(pools)))]

    def losses(self, batch: LungBatch, step: int) -> Mapping[str, Tensor]:
        """Cross-entropy, and one minus the soft Dice of the batch."""
        del step
        device = next(self.network.parameters()).device
        slices, lungs = batch[0].to(device), batch[1].to(device)
        logits = self.network(slices).float()
        lung = torch.softmax(logits, dim=1)[:, 1]
        overlap = (2 * (lung * lungs).sum() + 1) / (lung.sum() + lungs.sum() + 1)
        return {"cross-entropy": functional.cross_entropy(logits, lungs), "1 - Dice": 1 - overlap}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Dice and intersection over union of all pixels held out; the former is the goal."""
        overlap, total = overlap_of(network, self.held_out, self.size)
        dice = 2 * overlap / max(total, 1)
        return {
            "validation Dice": dice,
            "validation IoU": overlap / max(total - overlap, 1),
            GOAL: dice,
        }


@torch.inference_mode()
def overlap_of(network: nn.Module, slices: Slices, size: int) -> tuple[int, int]:
    """Pixels in both masks, and the sum of the pixels of each."""
    network.eval()
    device = next(network.parameters()).device
    overlap = total = 0
    for at in range(0, len(slices.hu), VALIDATED_AT_A_TIME):
        part = slice(at, at + VALIDATED_AT_A_TIME)
        hu = torch.from_numpy(slices.hu[part].astype(np.float32))[:, None].to(device)
        logits = network(windowed(functional.interpolate(hu, (size, size), mode="area"))).float()
        lungs = larger(logits, slices.hu.shape[-1]).cpu().numpy()
        overlap += int((lungs & slices.lungs[part]).sum())
        total += int(lungs.sum()) + int(slices.lungs[part].sum())
    return overlap, total


def augment(hu: Tensor, lungs: Tensor, size: int, rng: np.random.Generator) -> LungBatch:
    """Turn, scale, shift, mirror; then change brightness, contrast, noise and sharpness.

    Returns
    -------
    tuple
        ``(B, 1, size, size)`` windowed to 0..1, and ``(B, size, size)`` int64.
    """
    theta = torch.from_numpy(np.stack([_affine(rng) for _ in range(len(hu))]))
    grid = functional.affine_grid(theta, [len(hu), 1, size, size], align_corners=False)
    if size < hu.shape[-1]:
        hu, lungs = (functional.interpolate(x, (size, size), mode="area") for x in (hu, lungs))
    hu = functional.grid_sample(hu + 1024, grid, align_corners=False) - 1024
    lungs = functional.grid_sample(lungs, grid, align_corners=False)
    count = (len(hu), 1, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, count).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-60, 60, count).astype(np.float32))
    noise = torch.from_numpy(rng.gamma(1.0, 20.0, count).astype(np.float32))
    grain = torch.from_numpy(rng.standard_normal(hu.shape, dtype=np.float32))
    hu = (hu + 1000) * gain - 1000 + shift + noise * grain
    if rng.random() < 0.3:
        hu = functional.avg_pool2d(hu, 3, stride=1, padding=1, count_include_pad=False)
    return windowed(hu), (lungs[:, 0] >= 0.5).long()


def windowed(hu: Tensor) -> Tensor:
    """Attenuation window to 0..1."""
    low, high = LUNG_TASK_WINDOW_HU
    return ((hu - low) / (high - low)).clamp(0, 1)


def larger(logits: Tensor, size: int) -> Tensor:
    """Where lung outweighs the rest, ``(B, size, size)`` bool; logits, not classes, are resized."""
    lead = logits[:, 1:] - logits[:, :1]
    lead = functional.interpolate(lead, (size, size), mode="bilinear", align_corners=False)
    return lead[:, 0] > 0


def _affine(rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random ``(2, 3)`` map of the image onto itself."""
    angle = rng.normal(0, math.radians(7))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = np.diag(rng.uniform(0.75, 1.35) * rng.uniform(0.9, 1.1, 2))
    shear = np.array([[1, rng.normal(0, 0.05)], [0, 1]])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    shift = rng.normal(0, 0.08, (2, 1))
    return np.hstack([turn @ scale @ shear @ mirror, shift]).astype(np.float32)
