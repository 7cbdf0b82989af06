"""Train DeCoVNet on phantoms and on opacities painted into real lungs.

``python -m pipeline.training.train_classifier --out FOLDER --seed 1 --minutes 20 --cases FOLDER``

Every step shows the network one pair of pictures: the same lungs with opacities and without,
under the same augmentation. So that a few hundred steps on a CPU are enough, it learns in two
parts: first the feature map, from being asked where the opacities are (a 1x1x1 convolution that
is thrown away in the end); then all of it, the head beginning as the largest of that evidence.
The course follows the clock, so a repeated run is alike but not equal bit by bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from pipeline.manifest import ClassifierInput
from pipeline.networks.decovnet import FEATURES, DeCoVNet
from pipeline.training.begin_head import begin_head
from pipeline.training.chests import phantom_chests, real_chest
from pipeline.training.judge_classifier import judge
from pipeline.training.pairs import Material, Pair, draw_pair
from pipeline.training.views import Shape
from pipeline.training.write_classifier import write_classifier

INPUT = ClassifierInput(rows=112, columns=168, slice_mm=4.0, window_hu=(-1200, 600), margin_mm=5.0)
HEALTHY_SEEDS, DISEASED_SEEDS = range(1000, 1016), range(2000, 2010)
PEAK_RATE = 2e-3
WARM_UP = 0.03  #: share of the time
WEIGHT_DECAY = 1e-2
LARGEST_GRADIENT = 1.0
LESION_WEIGHT = 6.0  #: cells with lesions are rare
DROPOUT = 0.0  #: the paper trains 100 epochs with 0.5; this is a few hundred steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Size of the pictures, whether scores are learnt, and until which share of the time."""

    until: float
    shape: Shape
    scores: bool


STAGES = (
    Stage(until=0.40, shape=(48, 80, 120), scores=False),
    Stage(until=0.65, shape=(64, 112, 168), scores=False),
    Stage(until=1.0, shape=(64, 112, 168), scores=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge on held-out material, write weights and manifest entry."""
    given = _arguments().parse_args(arguments)
    torch.manual_seed(given.seed)
    with Progress() as progress:
        task = progress.add_task("chests", total=None)
        material = Material(
            real=[real_chest(case) for case in given.cases],
            healthy=list(phantom_chests(HEALTHY_SEEDS, diseased=False)),
            diseased=list(phantom_chests(DISEASED_SEEDS, diseased=True)),
        )
        progress.update(task, description="training", total=1.0)
        network = DeCoVNet(dropout=DROPOUT)

        def report(share: float, text: str) -> None:
            progress.update(task, completed=share, description=text)

        steps = train(network, material, minutes=given.minutes, seed=given.seed, report=report)
        progress.update(task, description="judging", total=None)
        verdict = judge(network.eval(), material, INPUT)
    write_classifier(
        given.out,
        network,
        INPUT,
        verdict,
        cases=given.sources or [case.name for case in given.cases],
        reproduce="python -m pipeline.training.train_classifier --out FOLDER --cases ..."
        f" --seed {given.seed} --minutes {given.minutes:g} (came to {steps} steps)",
    )


def train(
    network: DeCoVNet,
    material: Material,
    *,
    minutes: float,
    seed: int,
    report: Callable[[float, str], None],
) -> int:
    """Train in place for so many minutes; returns the number of steps."""
    locate = nn.Conv3d(FEATURES, 1, 1)
    parameters = [*network.parameters(), *locate.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    network.train()
    step, smooth, begun = 0, np.array([0.0, 0.7]), False
    for share, stage, pair in _pairs(material, minutes, seed):
        if stage.scores and not begun:
            begun, smooth[0] = True, 0.7
            begin_head(network, locate)
        losses = _losses(network, locate, pair, scores=stage.scores)
        _descend(optimiser, losses, rate(share))
        step += 1
        smooth = 0.95 * smooth + 0.05 * np.array([loss.item() for loss in losses])
        report(share, f"step {step}: score {smooth[0]:.3f} place {smooth[1]:.3f}")
    return step


def rate(share: float) -> float:
    """Learning rate at a share of the training: a short rise, then half a cosine down."""
    if share < WARM_UP:
        return PEAK_RATE * (0.05 + 0.95 * share / WARM_UP)
    return PEAK_RATE * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * share))))


def _descend(optimiser: torch.optim.Optimizer, losses: Sequence[Tensor], step: float) -> None:
    """One step down the sum of the losses."""
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    for group in optimiser.param_groups:
        group["lr"] = step
    optimiser.zero_grad()
    torch.stack(list(losses)).sum().backward()  # type: ignore[no-untyped-call]  # so in torch
    nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
    optimiser.step()


def _pairs(material: Material, minutes: float, seed: int) -> Iterator[tuple[float, Stage, Pair]]:
    """Pairs until the time is over, the next one drawn while the last is learnt from."""
    began = time.monotonic()

    def draw(step: int, share: float) -> tuple[Stage, Pair]:
        stage = next(stage for stage in STAGES if share <= stage.until)
        rng = np.random.default_rng([seed, step])
        return stage, draw_pair(material, stage.shape, INPUT.window_hu, rng)

    with ThreadPoolExecutor(1) as pool:
        step, share = 0, 0.0
        coming = pool.submit(draw, step, share)
        while share < 1:
            stage, pair = coming.result()
            step += 1
            coming = pool.submit(draw, step, share)
            yield share, stage, pair
            share = min(1.0, (time.monotonic() - began) / (60 * minutes))


def _losses(
    network: DeCoVNet, locate: nn.Conv3d, pair: Pair, *, scores: bool
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the score (0 if not asked), and of the lesions' place in the lungs."""
    features = network.features(pair.pictures)
    score = torch.zeros(())
    if scores:
        score = functional.cross_entropy(network.head(features), pair.labels)
    truth = (2 * pair.lesions).clamp(max=1)
    weight = pair.lungs * (1 + LESION_WEIGHT * truth)
    place = functional.binary_cross_entropy_with_logits(
        locate(features)[:, 0], truth, weight=weight, reduction="sum"
    )
    return score, place / weight.sum().clamp(min=1)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the classifier on synthetic opacities.")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument(
        "--cases", type=Path, nargs="*", default=[], help="folders of CT series without COVID-19"
    )
    parser.add_argument(
        "--sources", nargs="*", default=[], help="what the cases are, in words, for the model card"
    )
    return parser


if __name__ == "__main__":
    main()
