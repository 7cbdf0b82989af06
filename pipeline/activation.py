"""Class activation: which cells of the feature map speak for COVID-19.

Three ways, each a function ``(network, features) -> (planes, rows, columns)``, not negative, on
the feature map's grid (`pipeline.networks.decovnet.FEATURE_STRIDE`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.classify import Scored
from pipeline.network_input import NetworkInput
from pipeline.networks.decovnet import (
    FEATURE_OFFSET,
    FEATURE_STRIDE,
    NEGATIVE,
    POSITIVE,
    DeCoVNet,
)

Method = Callable[[DeCoVNet, Tensor], Tensor]


def paper_cam(network: DeCoVNet, features: Tensor) -> Tensor:
    """Class activation map with weights chained through the head.

    Every convolution of the head counts with the mean over its taps; biases, rectifiers and
    pools are left out. Source: Wang et al. 2020, as their code does it.
    """
    weights = torch.eye(features.shape[1], device=features.device)
    for layer in [*network.evidence, *network.classifier]:
        if isinstance(layer, nn.Conv3d):
            weights = layer.weight.mean(dim=(2, 3, 4)) @ weights
        elif isinstance(layer, nn.Linear):
            weights = layer.weight @ weights
    return torch.einsum("k,kzyx->zyx", weights[POSITIVE], features[0]).relu()


def hirescam(network: DeCoVNet, features: Tensor) -> Tensor:
    """Product of feature and gradient, summed over channels (Draelos & Carin, arXiv:2011.08891).

    Exact in its places, but sparse: behind the head's max pools only winners have a gradient.
    """
    return (features[0] * gradient(network, features)).sum(dim=0).relu()


def grad_cam(network: DeCoVNet, features: Tensor) -> Tensor:
    """Features weighted by their channel's summed gradient (Selvaraju et al., arXiv:1610.02391).

    Dense: what made the winners win counts wherever it is seen.
    """
    weights = gradient(network, features).sum(dim=(1, 2, 3))
    return torch.einsum("k,kzyx->zyx", weights, features[0]).relu()


def gradient(network: DeCoVNet, features: Tensor) -> Tensor:
    """Gradient ``(128, planes, rows, columns)`` of the evidence for the positive class."""
    with torch.enable_grad():
        leaf = features.clone().requires_grad_()
        logits = network.head(leaf)[0]
        (slope,) = torch.autograd.grad(logits[POSITIVE] - logits[NEGATIVE], leaf)
    return slope[0]


METHODS: Mapping[str, Method] = {
    "paper-cam": paper_cam,
    "hirescam": hirescam,
    "grad-cam": grad_cam,
}
DEFAULT_METHOD = "grad-cam"


def activation(
    scored: Scored,
    network_input: NetworkInput,
    lungs: NDArray[np.bool_],
    *,
    method: str = DEFAULT_METHOD,
) -> NDArray[np.float32]:
    """Activation on the volume's grid.

    Parameters
    ----------
    lungs
        ``(slices, rows, columns)``; the activation is 0 outside.
    method
        A key of `METHODS`.

    Returns
    -------
    NDArray
        ``(slices, rows, columns)``, 0 to 1 over the lungs; all 0 if nothing is active.
    """
    with torch.no_grad():
        cells = METHODS[method](scored.network, scored.features).float().cpu().numpy()
    whole = network_input.to_source(cells, stride=FEATURE_STRIDE, offset=FEATURE_OFFSET)
    return stretch(whole, lungs)


def stretch(values: NDArray[np.float32], lungs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bring the values within the lungs to 0..1, and all others to 0."""
    inside = values[lungs]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
    if high <= low:
        return np.zeros_like(values)
    stretched: NDArray[np.float32] = np.where(lungs, (values - low) / (high - low), 0)
    return stretched.astype(np.float32)
