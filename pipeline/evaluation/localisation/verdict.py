"""Judge a localisation against the truth: hit, pointing, Dice, and the lesions detected.

Definitions, each with its denominator:

- *hit*: the centre of the lesion that the system points to, namely its voxel nearest to its
  centroid, lies in a true lesion; nothing found is a miss. Over the positive cases with known
  lesions, and again over those of them that the classifier calls positive.
- *pointing*: the voxel of the highest activation lies in a true lesion. Over the same cases.
- *Dice*: of all that a system marks and all true lesion voxels, in each such case.
- *detected*: a mark touches the true lesion (``touch``), or their intersection over union is
  `LEAST_IOU` or more (``iou``). A mark that detects no lesion in that sense is a false positive,
  unless it touches only specks too small to count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.localisation.cases_with_lesions import Scene
from pipeline.evaluation.localisation.systems import ML_PER_MM3, Found

LEAST_IOU = 0.1
NEVER = -np.inf  #: confidence of a lesion that no mark detects


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """Detections of one case for an FROC curve, under one definition of *detected*.

    Attributes
    ----------
    lesions
        Highest confidence of the marks that detect each true lesion, or `NEVER`.
    false
        Confidences of the marks that detect none.
    """

    lesions: tuple[float, ...]
    false: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Judgement of one system on one case.

    Attributes
    ----------
    volumes_ml
        Of the true lesions; none in a case without.
    called
        Whether the classifier calls the case positive.
    hit, pointed, dice
        See the module; meaningless without true lesions. ``pointed`` is None without activation.
    """

    patient: str
    volumes_ml: tuple[float, ...]
    called: bool
    hit: bool
    pointed: bool | None
    dice: float
    touch: Detections
    iou: Detections


def judge(scene: Scene, found: Found) -> Verdict:
    """Hold what a system found against the truth."""
    true = scene.truth > 0
    centre = centre_voxel(found.labels == 1, scene.spacing_mm)
    shared = overlaps(scene.truth, found.labels)
    voxel_ml = float(np.prod(scene.spacing_mm)) * ML_PER_MM3
    marks = np.bincount(found.labels.ravel(), minlength=1 + len(found.confidences))[1:]
    volumes = np.bincount(np.maximum(scene.truth, 0).ravel())[1:]
    union = volumes[:, None] + marks[None] - shared[1:]
    speck = shared[0] > 0
    return Verdict(
        patient=scene.patient,
        volumes_ml=tuple((volumes * voxel_ml).tolist()),
        called=scene.called,
        hit=centre is not None and bool(true[centre]),
        pointed=None if found.peak is None else bool(true[found.peak]),
        dice=dice(true, found.labels > 0),
        touch=detections(shared[1:] > 0, speck, found.confidences),
        iou=detections(shared[1:] / union >= LEAST_IOU, speck, found.confidences),
    )


def centre_voxel(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[int, int, int] | None:
    """Voxel of a mask that lies nearest to its centroid, in mm; None if it is empty."""
    voxels = np.argwhere(mask)
    if len(voxels) == 0:
        return None
    away = (voxels - voxels.mean(axis=0)) * spacing_mm
    z, y, x = voxels[int((away**2).sum(axis=1).argmin())]
    return int(z), int(y), int(x)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Twice the intersection over the sum of both; 1 of two empty masks."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def overlaps(truth: NDArray[np.intp], labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count the voxels that each true lesion (and the specks, row 0) shares with each mark.

    Returns
    -------
    NDArray
        ``(1 + lesions, marks)``.
    """
    marks, lesions = int(labels.max(initial=0)), int(truth.max(initial=0))
    both = (truth != 0) & (labels > 0)
    pairs = np.maximum(truth[both], 0) * marks + labels[both] - 1
    counts: NDArray[np.intp] = np.bincount(pairs, minlength=(1 + lesions) * marks)
    return counts.reshape(1 + lesions, marks)


def detections(
    detects: NDArray[np.bool_], speck: NDArray[np.bool_], confidences: NDArray[np.float64]
) -> Detections:
    """Confidences of the lesions detected and of the false marks.

    Parameters
    ----------
    detects
        ``(lesions, marks)``.
    speck
        ``(marks,)``: marks that touch a speck and so are no false positives.
    """
    best = np.where(detects, confidences[None], NEVER).max(axis=1, initial=NEVER)
    wrong = ~detects.any(axis=0) & ~speck
    return Detections(lesions=tuple(best.tolist()), false=tuple(confidences[wrong].tolist()))
