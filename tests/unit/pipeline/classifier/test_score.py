"""Scores are calibrated, called against the right threshold, and activation maps are as defined."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.classifier.activation import (
    DEFAULT_METHOD,
    METHODS,
    activation,
    gradient,
    methods_of,
    on_source,
    stretch,
)
from pipeline.classifier.input import NetworkInput
from pipeline.classifier.score import Scored, calibrated, classify
from pipeline.decision import score_doubts
from pipeline.errors import ModelError
from pipeline.model.loading import Models
from pipeline.model.manifest import Conformal, Manifest
from pipeline.networks.decovnet import NEGATIVE, POSITIVE, DeCoVNet
from pipeline.types import PredictionSet, ScoreClass

SHA = "0" * 64
THRESHOLD = 0.3
TEMPERATURE = 2.0


def manifest() -> Manifest:
    network = {"file": "x.safetensors", "sha256": SHA, "parameters": 1}
    seen = {"window_hu": (-1200, 600)}
    return Manifest.model_validate(
        {
            "name": "test",
            "version": "1",
            "created": "2026-01-01",
            "networks": {
                "lungs": {**network, "architecture": "unet-2d", "input": {**seen, "size": 64}},
                "classifier": {
                    **network,
                    "architecture": "decovnet",
                    "input": {**seen, "rows": 64, "columns": 96, "slice_mm": 4, "margin_mm": 5},
                },
            },
            "calibration": {"temperature": TEMPERATURE},
            "operating_points": {"default": {"threshold": THRESHOLD, "from": "a test"}},
            "card": {
                "trained_on": ["nothing"],
                "intended_use": "tests",
                "not_for": [],
                "limits": [],
                "metrics": {},
                "reproduce": "-",
            },
        }
    )


@pytest.fixture(scope="module")
def models() -> Models:
    torch.manual_seed(3)
    return Models(
        manifest=manifest(),
        lungs=nn.Identity(),
        classifier=DeCoVNet().eval(),
        device=torch.device("cpu"),
        weights_sha256=SHA,
    )


@pytest.fixture(scope="module")
def seen() -> NetworkInput:
    rng = np.random.default_rng(3)
    tensor = rng.random((1, 2, 16, 64, 96), np.float32)
    return NetworkInput(tensor=tensor, low=(2, 4, 6), high=(17, 35, 53), source_shape=(20, 40, 60))


@pytest.fixture(scope="module")
def scored(seen: NetworkInput, models: Models) -> Scored:
    return classify(seen, models)


def test_score_is_the_softmax_over_the_temperature(scored: Scored) -> None:
    negative, positive = scored.logits

    assert scored.classification.score == pytest.approx(
        1 / (1 + math.exp((negative - positive) / TEMPERATURE))
    )


def test_temperature_draws_towards_one_half() -> None:
    logits = torch.tensor([0.0, 3.0])

    assert calibrated(logits, 1.0) > calibrated(logits, 4.0) > 0.5


def test_threshold_is_the_manifests(scored: Scored) -> None:
    called = scored.classification

    assert (called.threshold, called.operating_point) == (THRESHOLD, "default")
    assert called.positive == (called.score > THRESHOLD)


@pytest.mark.parametrize(
    ("positive_at_least", "threshold", "classes", "doubts"),
    [
        (0.0, 0.0, (ScoreClass.POSITIVE,), []),
        (0.0, 1.0, (ScoreClass.POSITIVE,), ["threshold-against-set"]),
        (1.0, 0.0, (), ["score-uncertain"]),
    ],
)
def test_prediction_set_is_the_manifests(
    seen: NetworkInput,
    models: Models,
    positive_at_least: float,
    threshold: float,
    classes: tuple[ScoreClass, ...],
    doubts: list[str],
) -> None:
    promised = {"coverage": 0.8, "negative_at_most": 0, "positive_at_least": positive_at_least}
    conformal = Conformal.model_validate(
        {"levels": [promised], "negatives": 9, "positives": 9, "from": "a test"}
    )
    sure = dataclasses.replace(
        models, manifest=models.manifest.model_copy(update={"conformal": conformal})
    )

    found = dataclasses.replace(classify(seen, sure).classification, threshold=threshold)

    assert found.prediction_set == PredictionSet(coverage=0.8, classes=classes)
    assert [doubt.code for doubt in score_doubts(found)] == doubts


def test_without_conformal_thresholds_nothing_is_said_of_certainty(scored: Scored) -> None:
    assert scored.classification.prediction_set is None
    assert not scored.classification.uncertain


def test_another_network_is_refused(seen: NetworkInput, models: Models) -> None:
    wrong = dataclasses.replace(models, classifier=nn.Identity())

    with pytest.raises(
        ModelError, match="expected a classifier with features and a head, got Identity"
    ):
        classify(seen, wrong)


def test_gradient_tells_what_a_small_change_does(scored: Scored) -> None:
    network, features = copy.deepcopy(scored.network).double(), scored.features.double()
    slope = gradient(network, features)
    step = 1e-5 * slope / slope.norm()

    def lead(features: torch.Tensor) -> float:
        with torch.no_grad():
            logits = network.head(features)[0]
        return float(logits[POSITIVE] - logits[NEGATIVE])

    rise = lead(features + step[None]) - lead(features - step[None])
    assert rise == pytest.approx(2e-5 * float(slope.norm()), rel=0.05)


@torch.no_grad()
def test_paper_cam_chains_the_mean_of_each_kernel(scored: Scored) -> None:
    layers = dict(scored.network.named_parameters())
    weights = layers["classifier.1.weight"] @ layers["classifier.0.weight"]
    for name in ("evidence.8.weight", "evidence.4.weight", "evidence.1.weight"):
        weights = weights @ layers[name].mean(dim=(2, 3, 4))
    expected = torch.relu((weights[POSITIVE][:, None, None, None] * scored.features[0]).sum(0))

    found = METHODS["paper-cam"](scored.network, scored.features)

    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", [*methods_of(DeCoVNet()), DEFAULT_METHOD])
def test_activation_fills_0_to_1_within_the_lungs(
    method: str, scored: Scored, seen: NetworkInput
) -> None:
    lungs = np.zeros(seen.source_shape, np.bool_)
    lungs[4:16, 8:30, 10:50] = True

    heat = np.stack(list(activation(scored, seen, lungs, method=method)))

    assert heat.shape == seen.source_shape
    assert not heat[~lungs].any()
    assert 0 <= heat.min() <= heat.max() <= 1
    assert heat.max() == pytest.approx(1) or not heat.any()
    assert np.array_equal(heat, stretch(on_source(scored, seen, method), lungs))
