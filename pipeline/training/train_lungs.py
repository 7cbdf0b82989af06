"""Train the UNet that finds the lungs: ``python -m pipeline.training.train_lungs --out FOLDER``.

Small slices first, whole ones last; cross-entropy and Dice; affine and intensity augmentation;
the best state on phantoms that were held out is kept. The course follows the clock
(``--minutes``), so a repeated run is alike but not equal bit by bit.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from pipeline.models import device_for, write_network
from pipeline.networks.unet import UNet
from pipeline.training.lung_slices import Slices, case_slices, paint_opacities, phantom_slices

WINDOW_HU = (-1200.0, 600.0)
SIZE = 192  #: rows and columns at inference: half the time of 256, Dice of the grid alone 0.999
STAGES = ((0.0, 128, 12), (0.55, SIZE, 8))  #: from this share of the time: size, batch
LEARNING_RATE = 2e-3
VALIDATIONS = 12
VALIDATION_STEP = 9  #: every so many slices of the held-out phantoms
REAL_SHARE = 0.6  #: of a batch, when there are real series
EMPTY_SHARE = 0.1  #: of the slices: such without lung
PAINTED_SHARE = 0.5  #: of the slices: such with opacities painted in
TRAINING_PHANTOMS, HELD_OUT_PHANTOMS = 40, 6
HELD_OUT_FROM = 90_000  #: first seed of the phantoms held out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """One origin of slices, those with lung and those without apart."""

    slices: Slices
    full: np.ndarray[tuple[int], np.dtype[np.intp]]
    empty: np.ndarray[tuple[int], np.dtype[np.intp]]

    @classmethod
    def of(cls, slices: Slices) -> Pool:
        """Sort the slices."""
        held = slices.lungs.any(axis=(1, 2))
        return cls(slices=slices, full=np.flatnonzero(held), empty=np.flatnonzero(~held))

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """One slice ``(1, 256, 256)`` in HU, perhaps painted, and its lungs."""
        bare = len(self.empty) > 0 and rng.random() < EMPTY_SHARE
        at = rng.choice(self.empty if bare else self.full)
        hu, lungs = self.slices.hu[at].astype(np.float32), self.slices.lungs[at]
        if rng.random() < PAINTED_SHARE:
            paint_opacities(hu, lungs, rng)
        return torch.from_numpy(hu)[None], torch.from_numpy(lungs.astype(np.float32))[None]


def draw_batch(
    phantoms: Pool, real: Sequence[Pool], count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Slices ``(B, 1, 256, 256)`` in HU and their lungs."""
    pairs = []
    for _ in range(count):
        use_real = len(real) > 0 and rng.random() < REAL_SHARE
        pool = real[int(rng.integers(len(real)))] if use_real else phantoms
        pairs.append(pool.draw(rng))
    return torch.stack([hu for hu, _ in pairs]), torch.stack([lungs for _, lungs in pairs])


def augment(
    hu: Tensor, lungs: Tensor, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
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
    return window(hu), (lungs[:, 0] >= 0.5).long()


def window(hu: Tensor) -> Tensor:
    """Attenuation window to 0..1."""
    low, high = WINDOW_HU
    return ((hu - low) / (high - low)).clamp(0, 1)


def _affine(rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random ``(2, 3)`` map of the image onto itself."""
    angle = rng.normal(0, math.radians(7))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = np.diag(rng.uniform(0.75, 1.35) * rng.uniform(0.9, 1.1, 2))
    shear = np.array([[1, rng.normal(0, 0.05)], [0, 1]])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    shift = rng.normal(0, 0.08, (2, 1))
    return np.hstack([turn @ scale @ shear @ mirror, shift]).astype(np.float32)


def loss_of(logits: Tensor, lungs: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft Dice of the batch."""
    lung = torch.softmax(logits, dim=1)[:, 1]
    dice = (2 * (lung * lungs).sum() + 1) / (lung.sum() + lungs.sum() + 1)
    return functional.cross_entropy(logits, lungs) + 1 - dice


@torch.inference_mode()
def dice_of(network: UNet, slices: Slices, device: torch.device) -> float:
    """Dice over all pixels of some slices."""
    network.eval()
    overlap = total = 0
    for at in range(0, len(slices.hu), 8):
        hu = torch.from_numpy(slices.hu[at : at + 8].astype(np.float32))[:, None].to(device)
        logits = network(window(functional.interpolate(hu, (SIZE, SIZE), mode="area")))
        found = larger(logits, slices.hu.shape[-1]).cpu().numpy()
        truth = slices.lungs[at : at + 8]
        overlap += int((found & truth).sum())
        total += int(found.sum()) + int(truth.sum())
    network.train()
    return 2 * overlap / max(total, 1)


def larger(logits: Tensor, size: int) -> Tensor:
    """Where lung outweighs the rest, ``(B, size, size)`` bool; logits, not classes, are resized."""
    lead = logits[:, 1:] - logits[:, :1]
    lead = functional.interpolate(lead, (size, size), mode="bilinear", align_corners=False)
    return lead[:, 0] > 0


class Trainer:
    """The network, its optimiser, and the best state so far."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.network = UNet().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.optimiser = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE)
        self.best, self.best_dice = copy.deepcopy(self.network.state_dict()), 0.0

    def step(self, slices: Tensor, lungs: Tensor, share: float) -> float:
        """One step, at the learning rate of this share of the time."""
        warm = min(1.0, share / 0.02 + 0.1)
        for group in self.optimiser.param_groups:
            group["lr"] = LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        slices = slices.to(self.device, memory_format=torch.channels_last)
        loss = loss_of(self.network(slices), lungs.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        self.optimiser.step()
        return float(loss.detach())

    def validate(self, held_out: Slices) -> float:
        """Keep the state if it is the best on the slices held out."""
        dice = dice_of(self.network, held_out, self.device)
        if dice > self.best_dice:
            self.best, self.best_dice = copy.deepcopy(self.network.state_dict()), dice
        return dice


def train(
    phantoms: Slices, held_out: Slices, real: Sequence[Slices], *, seed: int, minutes: float
) -> Trainer:
    """Train for so many minutes; the best state on ``held_out`` is in the answer."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    trainer = Trainer(device_for("auto"))
    phantom_pool, real_pools = Pool.of(phantoms), [Pool.of(slices) for slices in real]
    start, validated = time.monotonic(), 0
    with Progress() as progress:
        task = progress.add_task("training", total=1.0)
        while (share := (time.monotonic() - start) / (60 * minutes)) < 1:
            _, size, count = [stage for stage in STAGES if stage[0] <= share][-1]
            hu, lungs = draw_batch(phantom_pool, real_pools, count, rng)
            loss = trainer.step(*augment(hu, lungs, size, rng), share)
            progress.update(task, completed=share, description=f"{size} px, loss {loss:.3f}")
            if share * VALIDATIONS >= validated + 1:
                validated += 1
                progress.console.print(f"{share:.0%} Dice {trainer.validate(held_out):.4f}")
    trainer.validate(held_out)
    return trainer


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write into")
    parser.add_argument("--cases", type=Path, nargs="*", default=[], help="folders of DICOM series")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0)
    asked = parser.parse_args(arguments)
    real = [case_slices(folder) for folder in asked.cases]
    first = 1_000 * asked.seed
    phantoms = phantom_slices(range(first, first + TRAINING_PHANTOMS))
    whole = phantom_slices(range(HELD_OUT_FROM, HELD_OUT_FROM + HELD_OUT_PHANTOMS))
    held_out = Slices(hu=whole.hu[::VALIDATION_STEP], lungs=whole.lungs[::VALIDATION_STEP])
    trainer = train(phantoms, held_out, real, seed=asked.seed, minutes=asked.minutes)
    entry = {
        "architecture": "unet-2d",
        "file": "lungs.safetensors",
        "parameters": sum(value.numel() for value in trainer.network.parameters()),
        "input": {"size": SIZE, "window_hu": [int(bound) for bound in WINDOW_HU]},
    }
    write_network(asked.out, "lungs", trainer.best, entry)


if __name__ == "__main__":
    main()
