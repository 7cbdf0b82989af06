"""Prepare cases whose lesions are known: the input that all ways of localisation share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import prepared_input
from pipeline.cases.prepared import (
    SUFFIX,
    Prepared,
    Spacing,
    load,
    prepare,
    require_fit,
)
from pipeline.classifier.activation import methods_of, on_source
from pipeline.classifier.score import classify
from pipeline.errors import PipelineError
from pipeline.model.loading import Models

MIN_LESION_MM3 = 100.0  #: smaller true components neither count as lesions nor as found wrongly

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One case on the grid of its prepared box.

    Attributes
    ----------
    hu, lungs
        ``(planes, rows, columns)``: int16 HU, bool.
    truth
        Same grid: 1..n for the true lesions, 26-connected and of `MIN_LESION_MM3` or more;
        -1 where the smaller ones lie; 0 elsewhere.
    spacing_mm
        Along each axis.
    score, called
        The classifier's, and whether it lies above the model's operating point.
    activations
        By the method's name: not negative, of any scale, on the whole box.
    """

    patient: str
    hu: NDArray[np.int16]
    lungs: Mask
    truth: NDArray[np.intp]
    spacing_mm: Spacing
    score: float
    called: bool
    activations: Mapping[str, Map]

    @property
    def lesions(self) -> int:
        """How many true lesions there are."""
        return int(self.truth.max(initial=0))


def prepared_case(case: Case, models: Models) -> Prepared:
    """Load a prepared case, or prepare one from DICOM or NIfTI in memory.

    Raises
    ------
    PipelineError
        If it cannot be read, or was prepared with another label or sampling; its row is named.
    """
    wanted = models.manifest.networks.classifier.input
    try:
        if case.path.name.endswith(SUFFIX):
            require_fit(case, wanted)
            return load(case.path)
        return prepare(case, models, wanted)
    except PipelineError as exc:
        raise PipelineError(f"{case.place}: {exc}") from exc


def scene_of(patient: str, case: Prepared, models: Models) -> Scene:
    """Score a case, and compute every activation that the network has.

    Raises
    ------
    PipelineError
        If nobody knows where its lesions are.
    """
    if not case.lesions_known:
        raise PipelineError("a case with known lesions expected, got none")
    network_input = prepared_input(case, models.manifest.networks.classifier.input)
    scored = classify(network_input, models)
    return Scene(
        patient=patient,
        hu=case.hu,
        lungs=case.lungs,
        truth=true_lesions(case.lesions, case.spacing_mm),
        spacing_mm=case.spacing_mm,
        score=scored.classification.score,
        called=scored.classification.positive,
        activations={
            method: on_source(scored, network_input, method)
            for method in methods_of(scored.network)
        },
    )


def true_lesions(mask: Mask, spacing_mm: Spacing) -> NDArray[np.intp]:
    """Label true lesions as in `Scene.truth`."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3), np.bool_))
    large = np.bincount(labels.ravel(), minlength=count + 1) * np.prod(spacing_mm) >= MIN_LESION_MM3
    large[0] = False
    numbers = np.full(count + 1, -1, np.intp)
    numbers[large] = np.arange(1, np.count_nonzero(large) + 1)
    numbers[0] = 0
    numbered: NDArray[np.intp] = numbers[labels]
    return numbered
