"""Series that the bundled model flags as unlike its training data, and series that it does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cases.classifier_input import prepared_input
from pipeline.cases.prepared import Prepared
from pipeline.classifier.score import lung_features
from pipeline.model.loading import Models, load
from pipeline.model.manifest import BUNDLED
from pipeline.networks.explainable import Explained
from pipeline.synthetic.disease.canvases import phantom_canvas


@pytest.fixture(scope="module")
def models() -> Models:
    return load(BUNDLED, torch.device("cpu"))


@pytest.fixture(scope="module")
def healthy(models: Models) -> Prepared:
    return phantom_canvas(7, models.manifest.networks.classifier.input)


def noise(case: Prepared) -> Prepared:
    rng = np.random.default_rng(1)
    return replace(case, hu=rng.integers(-1024, 1000, case.hu.shape).astype(np.int16))


def inverted(case: Prepared) -> Prepared:
    return replace(case, hu=(-1024 - case.hu).astype(np.int16))


def inverted_lungs(case: Prepared) -> Prepared:
    return replace(case, hu=np.where(case.lungs, -300 - case.hu, case.hu).astype(np.int16))


def unchanged(case: Prepared) -> Prepared:
    return case


def upside_down(case: Prepared) -> Prepared:
    return replace(case, hu=case.hu[::-1].copy(), lungs=case.lungs[::-1].copy())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "flagged"),
    [
        (noise, True),
        (inverted, True),
        (inverted_lungs, True),
        (unchanged, False),
        (upside_down, False),  # a limit: said so in the card
    ],
)
def test_what_is_grossly_wrong_is_flagged(
    healthy: Prepared, models: Models, change: object, flagged: bool
) -> None:
    assert callable(change)
    seen = prepared_input(change(healthy), models.manifest.networks.classifier.input).tensor[0]
    assert isinstance(models.classifier, Explained)
    with torch.no_grad():
        features = models.classifier.features(torch.from_numpy(seen[np.newaxis]))

    assert models.reference is not None
    assert models.manifest.reference is not None
    distance = models.reference.distance(lung_features(features, seen[1]))
    assert (distance > models.manifest.reference.limit) is flagged
