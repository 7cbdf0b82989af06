"""Judge a trained classifier on material that it has not seen; choose temperature and threshold.

Held out are other phantoms, and other paintings into the same real lungs. Both are synthetic:
the figures say that the training worked, not how the model does on patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, special

from pipeline.manifest import ClassifierInput
from pipeline.networks.decovnet import NEGATIVE, POSITIVE, DeCoVNet
from pipeline.training.chests import phantom_chests
from pipeline.training.pairs import Material, Pair, draw_pair

HEALTHY_SEEDS, DISEASED_SEEDS = range(90_000, 90_006), range(91_000, 91_006)
PAIRS = 48  #: drawn; even ones choose temperature and threshold, odd ones judge
JUDGE_SEED = 90_210
PLANES = 70  #: about 280 mm at 4 mm
TEMPERATURES = (0.3, 10.0)  #: bounds: separable material would drive it to 0

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the held-out pairs say.

    Attributes
    ----------
    auc, brier, sensitivity, specificity
        On the pairs that chose nothing; the last two at the threshold.
    """

    temperature: float
    threshold: float
    auc: float
    brier: float
    sensitivity: float
    specificity: float
    pairs: int


def judge(network: DeCoVNet, material: Material, wanted: ClassifierInput) -> Verdict:
    """Score held-out pairs: half of them choose, the other half judge.

    Parameters
    ----------
    material
        Of the training; only its real lungs are used again, newly painted.
    """
    held_out = Material(
        real=material.real,
        healthy=list(phantom_chests(HEALTHY_SEEDS, diseased=False)),
        diseased=list(phantom_chests(DISEASED_SEEDS, diseased=True)),
    )
    margins = np.array([margin(network, pair) for pair in held_out_pairs(held_out, wanted)])
    choosing, judging = margins[::2], margins[1::2]
    temperature = fit_temperature(*choosing.T)
    threshold = youden(*special.expit(choosing / temperature).T)
    positive, negative = special.expit(judging / temperature).T
    return Verdict(
        temperature=temperature,
        threshold=threshold,
        auc=auc(positive, negative),
        brier=float(np.mean(np.r_[(1 - positive) ** 2, negative**2])),
        sensitivity=float(np.mean(positive > threshold)),
        specificity=float(np.mean(negative <= threshold)),
        pairs=len(judging),
    )


def held_out_pairs(material: Material, wanted: ClassifierInput) -> Iterator[Pair]:
    """Pairs of the size that the classifier gets in use."""
    shape = (PLANES, wanted.rows, wanted.columns)
    for number in range(PAIRS):
        rng = np.random.default_rng([JUDGE_SEED, number])
        yield draw_pair(material, shape, wanted.window_hu, rng)


def margin(network: DeCoVNet, pair: Pair) -> Values:
    """Logit of positive less that of negative, for both pictures ``(2,)``."""
    with torch.inference_mode():
        logits = network(pair.pictures).double()
    difference: Values = (logits[:, POSITIVE] - logits[:, NEGATIVE]).numpy()
    return difference


def fit_temperature(positive: Values, negative: Values) -> float:
    """Temperature of the smallest cross-entropy (Guo et al. 2017), within `TEMPERATURES`."""
    signed = np.r_[positive, -negative]

    def loss(log_temperature: float) -> float:
        return float(-special.log_expit(signed / np.exp(log_temperature)).mean())

    found = optimize.minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def youden(positive: Values, negative: Values) -> float:
    """Threshold of the largest sensitivity + specificity: the middle of the best gap."""
    scores = np.unique(np.r_[0.0, positive, negative, 1.0])
    middles = (scores[1:] + scores[:-1]) / 2
    gain = (positive > middles[:, None]).mean(axis=1) + (negative <= middles[:, None]).mean(axis=1)
    best = np.flatnonzero(gain == gain.max())
    return float(middles[best[np.argmax(np.diff(scores)[best])]])


def auc(positive: Values, negative: Values) -> float:
    """Share of pairs in the right order; ties count one half."""
    return float((np.sign(positive[:, None] - negative[None]).mean() + 1) / 2)
