"""Verify a model folder: digests, tensors, figures of the manifest, and a trial of each network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.model.complexity import parameters
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import MANIFEST, NetworkEntry
from pipeline.model.manifest_checks import faults
from pipeline.networks.explainable import Explained

#: Smallest inputs that every layer of the networks takes: slices; scans.
TRIAL_SHAPES: Mapping[str, tuple[int, ...]] = {
    "lungs": (2, 1, 64, 64),
    "classifier": (1, 2, 8, 64, 96),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedNetwork:
    """One network that was found in order.

    Attributes
    ----------
    part
        ``lungs`` or ``classifier``.
    tensors, parameters
        How many there are.
    """

    part: str
    file: str
    architecture: str
    tensors: int
    parameters: int


def verify(folder: Path) -> tuple[VerifiedNetwork, ...]:
    """Check digests, tensors and counts of a model folder, and let both networks compute.

    Raises
    ------
    ModelError
        If anything is missing, altered or of another architecture, if a weight or an answer to a
        small input is not finite, or if a figure of the manifest cannot be true.
    """
    models = load(folder, device_for("cpu"))
    if wrong := [*faults(models.manifest), *_of_reference(models)]:
        raise ModelError(f"{MANIFEST}: {'; '.join(wrong)}")
    networks = models.manifest.networks
    return (
        _verified("lungs", networks.lungs, models.lungs),
        _verified("classifier", networks.classifier, models.classifier),
    )


def _of_reference(models: Models) -> Iterator[str]:
    """Check the features that cases are compared with."""
    reference, network = models.reference, models.classifier
    if reference is None or not isinstance(network, Explained):
        return
    if not (np.isfinite(reference.means).all() and np.isfinite(reference.precision).all()):
        yield "reference: finite features expected, got others"
    with torch.inference_mode():
        features = network.features(torch.zeros(TRIAL_SHAPES["classifier"])).shape[1]
    if reference.means.shape[1] != features:
        yield (
            f"reference: the classifier's {features} features expected, got"
            f" {reference.means.shape[1]}"
        )


def _verified(part: str, entry: NetworkEntry, network: nn.Module) -> VerifiedNetwork:
    state = network.state_dict()
    broken = sorted(name for name, value in state.items() if not _finite(value))
    if broken:
        raise ModelError(
            f"{entry.file}: expected finite weights, got others in {', '.join(broken)}"
        )
    if not _finite(_trial(network, TRIAL_SHAPES[part])):
        raise ModelError(f"{entry.file}: expected finite answers, got others for noise")
    return VerifiedNetwork(
        part=part,
        file=entry.file,
        architecture=entry.architecture,
        tensors=len(state),
        parameters=parameters(network),
    )


@torch.inference_mode()
def _trial(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Answer to noise from 0 to 1, the same each time."""
    out: Tensor = network(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    return out


def _finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())
