"""Score localisation against readers' labels of slices: infected or not, and in which lobes.

No lobes are segmented here. What can be said of a lobe is whether, on the slices where readers
noted it, a lesion was marked on its side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cases.slice_labels import LOBES, Flags, SliceLabels, slices_of
from pipeline.cases.volumes import read_volume
from pipeline.classifier.activation import methods_of, on_source, stretch
from pipeline.classifier.input import network_input
from pipeline.classifier.score import classify
from pipeline.evaluation.localisation.systems import TITLES
from pipeline.lesions.localise import dense_lung, localise
from pipeline.lungs import segment
from pipeline.metrics.statistics import Proportion, proportion
from pipeline.model.loading import Models
from pipeline.types import LEFT_LUNG, RIGHT_LUNG

SIDES: Mapping[str, int] = {"left": LEFT_LUNG, "right": RIGHT_LUNG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of marks with readers; None where nothing can be counted.

    Attributes
    ----------
    sensitivity
        Share of the infected slices (of one side: slices with an infected lobe there) marked.
    specificity
        Share of the other slices not marked.
    """

    sensitivity: Proportion | None
    specificity: Proportion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One system on one series. Slices of one series are not independent.

    Attributes
    ----------
    inside
        Share of the marked volume that lies on infected slices; None if nothing is marked.
    sides
        By ``left`` and ``right``.
    lobes
        Share of the slices with this lobe infected on which its side is marked.
    """

    system: str
    slices: Agreement
    inside: float | None
    sides: Mapping[str, Agreement]
    lobes: Mapping[str, Proportion]


def score_series(folder: Path, labels: SliceLabels, models: Models) -> Iterator[SliceScore]:
    """Localise in a series with every activation of the network, whatever its score.

    Raises
    ------
    PipelineError
        If there is no chest CT, or the labels are not of this series.
    """
    volume = read_volume(folder)
    at = slices_of(labels, volume)
    mask = segment.segment(volume, models)
    box = network_input(volume, mask, models.manifest.networks.classifier.input)
    scored = classify(box, models)
    dense = dense_lung(volume, mask)
    for method in methods_of(scored.network):
        heat = stretch(on_source(scored, box, method), mask.labels > 0)
        found = localise(dense, mask, heat).labels > 0
        marked = np.stack(
            [np.count_nonzero(found & (mask.labels == side), axis=(1, 2))[at] for side in (1, 2)]
        )
        yield agreement(f"ours, {TITLES[method]}", marked, labels)


def agreement(system: str, marked: NDArray[np.intp], labels: SliceLabels) -> SliceScore:
    """Hold marks against labels.

    Parameters
    ----------
    marked
        ``(2, slices)`` voxels marked in the right (0) and left (1) lung, in the labels' order.
    """
    side_of = {RIGHT_LUNG: marked[0] > 0, LEFT_LUNG: marked[1] > 0}
    total = int(marked.sum())
    return SliceScore(
        system=system,
        slices=_agree((marked[0] > 0) | (marked[1] > 0), labels.infected),
        inside=int(marked[:, labels.infected].sum()) / total if total else None,
        sides={name: _of_side(side_of[side], labels, side) for name, side in SIDES.items()},
        lobes={
            lobe: proportion(int(side_of[side][noted].sum()), int(noted.sum()))
            for lobe, side in LOBES.items()
            if lobe in labels.lobes and (noted := labels.lobes[lobe]).any()
        },
    )


def _of_side(marked: Flags, labels: SliceLabels, side: int) -> Agreement:
    if not labels.lobes:
        return Agreement(sensitivity=None, specificity=None)
    noted = [labels.lobes[lobe] for lobe in LOBES if LOBES[lobe] == side]
    return _agree(marked, np.any(noted, axis=0))


def _agree(marked: Flags, infected: Flags) -> Agreement:
    return Agreement(sensitivity=_of(marked, infected), specificity=_of(~marked, ~infected))


def _of(outcome: Flags, where: Flags) -> Proportion | None:
    return proportion(int(outcome[where].sum()), int(where.sum())) if where.any() else None
