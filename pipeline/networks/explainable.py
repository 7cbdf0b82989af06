"""Protocols of classifier networks that can be explained: a feature map, and a head on it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Explained(Protocol):
    """A classifier in two halves: ``head(features(x))`` is its answer.

    The feature map lies on the grid of `pipeline.networks.decovnet.FEATURE_STRIDE`, whichever
    network made it.
    """

    def features(self, x: Tensor) -> Tensor:
        """``(B, 2, T, H, W)`` to the feature map ``(B, 128, T // 2, H / 8, W / 8)``."""

    def head(self, features: Tensor) -> Tensor:
        """Feature map to logits ``(B, 2)``: negative, positive."""


@runtime_checkable
class Evidenced(Explained, Protocol):
    """A classifier whose score is made from a map of evidence, and from nothing else."""

    def evidence_map(self, features: Tensor) -> Tensor:
        """Feature map to the evidence ``(B, T // 2, H / 8, W / 8)`` of each cell, as a logit."""
