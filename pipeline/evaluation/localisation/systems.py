"""Run the systems of localisation that are compared, the paper's and ours, each by its name.

The paper's (Wang et al. 2020, Table V) return patches of activation, 3DCC, or the patch that 3DCC
chooses; see `pipeline.lesions.wang2020`. Ours returns dense patches that activation and 3DCC
support; see `pipeline.lesions.localise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.activation import stretch
from pipeline.evaluation.localisation.cases_with_lesions import Map, Scene
from pipeline.lesions import localise, wang2020
from pipeline.lesions.candidates import patches
from pipeline.lesions.components3d import VARIANTS, components_activation
from pipeline.lesions.growth import grown
from pipeline.lesions.region import Mask, Region
from pipeline.types import LEFT_LUNG, RIGHT_LUNG

#: Names of the activations in tables.
TITLES: Mapping[str, str] = {
    "paper-cam": "CAM",
    "normgrad": "NormGrad",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "grad-cam": "Grad-CAM",
    "evidence": "evidence map",
}
COMPONENTS_TITLES: Mapping[str, str] = {"paper": "3DCC alone", "code": "3DCC alone, 6 x 6 blocks"}
ML_PER_MM3 = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Lesions that one system finds in one case.

    Attributes
    ----------
    labels
        ``(planes, rows, columns)``: 0 none, 1 the lesion that the system points to (the largest,
        or the one that 3DCC chooses), and any others after it.
    confidences
        One for each label, comparable between the cases of a system: score of the case times mean
        activation, or the volume (ml) where there is no activation.
    peak
        Voxel of the highest activation; None if there is no activation.
    """

    labels: NDArray[np.intp]
    confidences: NDArray[np.float64]
    peak: tuple[int, int, int] | None = None


def answers(scene: Scene) -> Iterator[tuple[str, Found]]:
    """Run every system that the case's network allows; yield its name and what it finds."""
    region = Region(
        hu=scene.hu,
        sides=sides_by_the_middle(scene.lungs),
        spacing_mm=scene.spacing_mm,
    )
    speckled = localise.speckle(region)
    dense = patches(region)
    for variant in VARIANTS:
        yield COMPONENTS_TITLES[variant], _components(scene, variant)
    for method, activation in scene.activations.items():
        paper = wang2020.candidates(activation, scene.hu, scene.lungs)
        whole = stretch(activation, np.ones_like(scene.lungs))
        yield TITLES[method], _found(scene, paper, whole)
        one = wang2020.chosen(paper, speckled)
        yield f"3DCC + {TITLES[method]}", _found(scene, one.astype(np.intp), whole)
        within = stretch(activation, scene.lungs)
        ours = grown(localise.chosen(dense, speckled, region, within), region)
        yield f"ours, {TITLES[method]}", _found(scene, ours.astype(np.intp), within)


def sides_by_the_middle(lungs: Mask) -> NDArray[np.uint8]:
    """Part a pair of lungs at the middle of their box: prepared cases do not know the sides."""
    columns = np.arange(lungs.shape[2])
    sides = np.where(columns < lungs.shape[2] / 2, RIGHT_LUNG, LEFT_LUNG)
    return np.where(lungs, sides, 0).astype(np.uint8)


def _components(scene: Scene, variant: str) -> Found:
    region = components_activation(scene.hu, scene.lungs, variant=variant)
    volume_ml = np.count_nonzero(region) * float(np.prod(scene.spacing_mm)) * ML_PER_MM3
    return Found(
        labels=region.astype(np.intp), confidences=np.array([volume_ml] if volume_ml else [])
    )


def _found(scene: Scene, labels: NDArray[np.intp], activation: Map) -> Found:
    sizes = np.bincount(labels.ravel())[1:]
    sums = np.bincount(labels.ravel(), weights=activation.ravel())[1:]
    at = np.unravel_index(int(activation.argmax()), activation.shape) if activation.any() else None
    return Found(
        labels=labels,
        confidences=scene.score * sums / sizes,
        peak=None if at is None else (int(at[0]), int(at[1]), int(at[2])),
    )
