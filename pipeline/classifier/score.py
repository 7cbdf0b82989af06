"""Score a series with the classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.classifier.conformal import open_classes
from pipeline.classifier.input import NetworkInput
from pipeline.errors import ModelError
from pipeline.model.loading import Models
from pipeline.model.manifest import DEFAULT_POINT, Manifest
from pipeline.networks.decovnet import POSITIVE
from pipeline.networks.explainable import Explained
from pipeline.types import Classification


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """The classifier's answer, and what the localisation needs of it.

    Attributes
    ----------
    logits
        Raw, uncalibrated: negative, positive.
    features
        ``(1, 128, T // 2, H / 8, W / 8)`` float32, on the model's device.
    network
        The network that made them.
    """

    classification: Classification
    logits: tuple[float, float]
    features: Tensor
    network: Explained


def classify(network_input: NetworkInput, models: Models) -> Scored:
    """Run the classifier and call its calibrated score at the manifest's `DEFAULT_POINT`.

    Raises
    ------
    ModelError
        If the model's classifier is none that can be explained.
    """
    network = models.classifier
    if not isinstance(network, Explained):
        raise ModelError(
            f"expected a classifier with features and a head, got {type(network).__name__}"
        )
    x = torch.from_numpy(network_input.tensor).to(models.device)
    with torch.no_grad():
        features = network.features(x)
        logits = network.head(features)[0].float().cpu()
    score = calibrated(logits, models.manifest.calibration.temperature)
    return Scored(
        classification=call(score, models.manifest),
        logits=(float(logits[0]), float(logits[1])),
        features=features,
        network=network,
    )


def calibrated(logits: Tensor, temperature: float) -> float:
    """Softmax of the logits ``(2,)`` over the temperature: the score of the positive class."""
    return float(torch.softmax(logits.double() / temperature, dim=0)[POSITIVE])


def lung_features(features: Tensor, lungs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of the feature map over the cells of the lungs.

    Parameters
    ----------
    features
        ``(1, C, t, h, w)``: `pipeline.classifier.score.Scored.features`.
    lungs
        ``(T, H, W)``, 0 to 1: the second channel of the network's input. Each cell counts as
        much as there is lung in it.

    Returns
    -------
    NDArray
        ``(C,)`` float64; zeros without any lung.
    """
    with torch.no_grad():
        held = torch.from_numpy(lungs)[None].to(features.device)
        planes, rows, columns = features.shape[2:]
        weights = functional.adaptive_avg_pool3d(held, (planes, rows, columns))[0].double()
        total = torch.einsum("czyx,zyx->c", features[0].double(), weights)
        mean: NDArray[np.float64] = (total / weights.sum().clamp(min=1e-9)).cpu().numpy()
    return mean


def call(score: float, manifest: Manifest) -> Classification:
    """Set a score against the manifest's operating point, with its prediction set."""
    return Classification(
        score=score,
        threshold=manifest.operating_points[DEFAULT_POINT].threshold,
        operating_point=DEFAULT_POINT,
        prediction_set=open_classes(score, manifest.conformal),
    )
