"""Score localisation against readers' labels of slices: infected or not, and in which lobes.

No lobes are segmented here. What can be said of a lobe is whether, on the slices where readers
noted it, a lesion was marked on its side.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cases.volumes import read_volume
from pipeline.classifier.activation import methods_of, on_source, stretch
from pipeline.classifier.input import network_input
from pipeline.classifier.score import classify
from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.systems import TITLES
from pipeline.lesions.localise import dense_lung, localise
from pipeline.lungs import segment
from pipeline.metrics.statistics import Proportion, proportion
from pipeline.model.loading import Models
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume

LOBES: Mapping[str, int] = {
    "LLL": LEFT_LUNG,
    "LUL": LEFT_LUNG,
    "RLL": RIGHT_LUNG,
    "RML": RIGHT_LUNG,
    "RUL": RIGHT_LUNG,
}
SIDES: Mapping[str, int] = {"left": LEFT_LUNG, "right": RIGHT_LUNG}
COLUMNS = ("z_mm", "infected", *LOBES)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceLabels:
    """Readers' labels, ``(slices,)`` each, in any order.

    Attributes
    ----------
    z_mm
        Of the slice: the third of its Image Position (Patient).
    lobes
        Whether the lobe is infected there, by its key in `LOBES`.
    """

    z_mm: NDArray[np.float64]
    infected: Flags
    lobes: Mapping[str, Flags]


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


def read_slice_labels(file: Path) -> SliceLabels:
    """Read a CSV file with z_mm, infected and a column for each lobe (0 or 1).

    Raises
    ------
    PipelineError
        If it is not as expected.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        z_mm = np.array([float(row["z_mm"]) for row in rows])
        marks = {name: np.array([int(row[name]) > 0 for row in rows]) for name in COLUMNS[1:]}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as exc:
        raise PipelineError(
            f"{file.name}: slice labels with {', '.join(COLUMNS)} expected, got: {exc}"
        ) from exc
    infected = marks.pop("infected")
    return SliceLabels(z_mm=z_mm, infected=infected, lobes=marks)


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


def slices_of(labels: SliceLabels, volume: CtVolume) -> NDArray[np.intp]:
    """Index of the volume's slice for each label.

    Raises
    ------
    PipelineError
        If a label lies further than half a slice from every slice.
    """
    at = (labels.z_mm - volume.affine[2, 3]) / volume.affine[2, 0]
    index: NDArray[np.intp] = np.rint(at).astype(np.intp)
    if len(at) == 0 or at.min() < -0.5 or at.max() > len(volume.hu) - 0.5:
        z = volume.affine[2, 3] + volume.affine[2, 0] * np.array([0, len(volume.hu) - 1])
        raise PipelineError(f"slice labels from {z.min():g} to {z.max():g} mm expected, got others")
    return index


def agreement(system: str, marked: NDArray[np.intp], labels: SliceLabels) -> SliceScore:
    """Hold marks against labels.

    Parameters
    ----------
    marked
        ``(2, slices)`` voxels marked in the right (0) and left (1) lung, in the labels' order.
    """
    side_of = {RIGHT_LUNG: marked[0] > 0, LEFT_LUNG: marked[1] > 0}
    total = int(marked.sum())
    on_side = {
        side: np.any([labels.lobes[lobe] for lobe in LOBES if LOBES[lobe] == side], axis=0)
        for side in side_of
    }
    return SliceScore(
        system=system,
        slices=_agree((marked[0] > 0) | (marked[1] > 0), labels.infected),
        inside=int(marked[:, labels.infected].sum()) / total if total else None,
        sides={name: _agree(side_of[side], on_side[side]) for name, side in SIDES.items()},
        lobes={
            lobe: proportion(int(side_of[side][noted].sum()), int(noted.sum()))
            for lobe, side in LOBES.items()
            if (noted := labels.lobes[lobe]).any()
        },
    )


def _agree(marked: Flags, infected: Flags) -> Agreement:
    return Agreement(sensitivity=_of(marked, infected), specificity=_of(~marked, ~infected))


def _of(outcome: Flags, where: Flags) -> Proportion | None:
    return proportion(int(outcome[where].sum()), int(where.sum())) if where.any() else None
