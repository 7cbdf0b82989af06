"""Sum up the verdicts on a system: figures with their intervals, and its FROC curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localisation.verdict import NEVER, Detections, Verdict
from pipeline.metrics.statistics import (
    BOOTSTRAP_SEED,
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    Proportion,
    proportion,
)

#: False positives per scan at which sensitivities are read off, as in the LUNA16 challenge.
FALSE_PER_SCAN = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Volumes (ml) that part small, middle and large lesions.
SIZES_ML: Mapping[str, tuple[float, float]] = {
    "below 1 ml": (0.0, 1.0),
    "1 to 10 ml": (1.0, 10.0),
    "10 ml and more": (10.0, np.inf),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Froc:
    """Free-response curve.

    Attributes
    ----------
    false_per_scan, sensitivity
        One point for each confidence, from the highest down.
    at
        Largest sensitivity with no more false positives per scan than `FALSE_PER_SCAN` each.
    """

    false_per_scan: tuple[float, ...]
    sensitivity: tuple[float, ...]
    at: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the sensitivities at the seven rates."""
        return float(np.mean(self.at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Figures of one system; definitions in `pipeline.evaluation.localisation.verdict`.

    Attributes
    ----------
    hit, pointing
        Over all positive cases with known lesions.
    hit_called
        Over those called positive; None if there are none.
    dice
        Median over the positive cases, interval from resampled patients.
    dice_quartiles
        First and third.
    touch, iou
        FROC over all cases, negative ones included.
    recall
        Share of the true lesions of each size that any mark touches.
    """

    system: str
    hit: Proportion
    hit_called: Proportion | None
    pointing: Proportion | None
    dice: Estimate
    dice_quartiles: tuple[float, float]
    touch: Froc
    iou: Froc
    recall: Mapping[str, Proportion]


def summarise(system: str, verdicts: Sequence[Verdict]) -> Summary:
    """Sum up the verdicts on one system.

    Raises
    ------
    ValueError
        If no case has a lesion.
    """
    positive = [verdict for verdict in verdicts if verdict.volumes_ml]
    if not positive:
        raise ValueError("expected at least one case with lesions, got none")
    scores = np.array([verdict.dice for verdict in positive])
    first, third = np.quantile(scores, [0.25, 0.75])
    return Summary(
        system=system,
        hit=share([verdict.hit for verdict in positive]),
        hit_called=_share_of_any([verdict.hit for verdict in positive if verdict.called]),
        pointing=_share_of_any(
            [verdict.pointed for verdict in positive if verdict.pointed is not None]
        ),
        dice=median(scores, [verdict.patient for verdict in positive]),
        dice_quartiles=(float(first), float(third)),
        touch=froc([verdict.touch for verdict in verdicts]),
        iou=froc([verdict.iou for verdict in verdicts]),
        recall=recall(positive),
    )


def share(outcomes: Sequence[bool]) -> Proportion:
    """Share of the outcomes that are true."""
    return proportion(sum(outcomes), len(outcomes))


def _share_of_any(outcomes: Sequence[bool]) -> Proportion | None:
    return share(outcomes) if outcomes else None


def median(values: NDArray[np.float64], patients: Sequence[str]) -> Estimate:
    """Median with the percentile interval of resampled patients."""
    names, owner = np.unique(np.array(patients), return_inverse=True)
    groups = [values[owner == index] for index in range(len(names))]
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    medians = [np.median(np.concatenate([groups[index] for index in draw])) for draw in draws]
    low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=float(np.median(values)), low=float(low), high=float(high))


def froc(cases: Sequence[Detections]) -> Froc:
    """Lesion-wise sensitivity against false positives per scan.

    Raises
    ------
    ValueError
        If there is no true lesion.
    """
    lesions = np.array([best for case in cases for best in case.lesions])
    false = np.array([confidence for case in cases for confidence in case.false])
    if lesions.size == 0:
        raise ValueError("expected at least one true lesion, got none")
    levels = np.unique(np.concatenate([lesions[lesions > NEVER], false]))[::-1]
    rates = np.array([np.count_nonzero(false >= level) for level in levels]) / len(cases)
    found = np.array([np.count_nonzero(lesions >= level) for level in levels]) / lesions.size
    at = [float(found[rates <= rate].max(initial=0.0)) for rate in FALSE_PER_SCAN]
    return Froc(
        false_per_scan=tuple(rates.tolist()), sensitivity=tuple(found.tolist()), at=tuple(at)
    )


def recall(verdicts: Sequence[Verdict]) -> dict[str, Proportion]:
    """Share of the lesions of each size that any mark touches; sizes without lesions left out."""
    volumes = np.array([volume for verdict in verdicts for volume in verdict.volumes_ml])
    touched = np.array([best > NEVER for verdict in verdicts for best in verdict.touch.lesions])
    shares = {}
    for name, (low, high) in SIZES_ML.items():
        of_size = (volumes >= low) & (volumes < high)
        if of_size.any():
            shares[name] = proportion(int(touched[of_size].sum()), int(of_size.sum()))
    return shares
