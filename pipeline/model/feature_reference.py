"""Measure the distance of a series from the training data, in the classifier's features.

The classifier's features, averaged over the lungs, against the mean of each class and one
covariance for all: Mahalanobis' distance to the nearest class. Source: Lee et al., "A Simple
Unified Framework for Detecting Out-of-Distribution Samples", NeurIPS 2018, arXiv:1807.03888.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipeline.errors import ModelError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Distribution of the features of cases of the training's kind.

    Attributes
    ----------
    means
        ``(classes, features)`` float64.
    precision
        ``(features, features)`` float64, inverse of the covariance within classes.
    """

    means: Floats
    precision: Floats

    def __post_init__(self) -> None:
        features = self.means.shape[-1]
        if self.means.ndim != 2 or self.precision.shape != (features, features):
            raise ValueError(
                "means (classes, features) and precision (features, features) expected, "
                f"got {self.means.shape} and {self.precision.shape}"
            )

    def distance(self, features: Floats) -> float:
        """Distance of a case ``(features,)`` to the nearest class, in standard deviations."""
        apart = features - self.means
        squares = np.einsum("cf,fg,cg->c", apart, self.precision, apart)
        return float(np.sqrt(max(squares.min(), 0.0)))


def to_bytes(reference: Reference) -> bytes:
    """Give the contents of its safetensors file."""
    data: bytes = save({"means": reference.means, "precision": reference.precision})
    return data


def from_bytes(data: bytes) -> Reference:
    """Read the contents of its safetensors file.

    Raises
    ------
    ModelError
        If they are others.
    """
    try:
        tensors = load(data)
        return Reference(means=tensors["means"], precision=tensors["precision"])
    except (SafetensorError, KeyError, ValueError) as exc:
        raise ModelError(f"expected a reference of features, got: {exc!r}") from exc
