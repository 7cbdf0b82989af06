"""Compute class activation: how much each cell of the feature map speaks for COVID-19.

Each method is a function ``(network, features) -> (planes, rows, columns)``, not negative, on
the feature map's grid (`pipeline.networks.decovnet.FEATURE_STRIDE`). The scale is of no meaning:
`stretch` takes it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.classifier.activation_methods import ActivationMethod
from pipeline.classifier.input import NetworkInput, SourcePlanes
from pipeline.classifier.score import Scored
from pipeline.errors import ModelError
from pipeline.networks.decovnet import (
    FEATURE_OFFSET,
    FEATURE_STRIDE,
    NEGATIVE,
    POSITIVE,
    DeCoVNet,
)
from pipeline.networks.explainable import Evidenced, Explained

Method = Callable[[Explained, Tensor], Tensor]


def paper_cam(network: Explained, features: Tensor) -> Tensor:
    """Class activation map with weights chained through the head.

    Every convolution of the head counts with the mean over its taps; biases, rectifiers and
    pools are left out. Source: Wang et al. 2020, as their code does it.

    Raises
    ------
    ModelError
        If the network is no DeCoVNet: the chain is made for its head.
    """
    if not isinstance(network, DeCoVNet):
        raise ModelError(f"paper-cam: expected a DeCoVNet, got {type(network).__name__}")
    weights = torch.eye(features.shape[1], device=features.device)
    for layer in [*network.evidence, *network.classifier]:
        if isinstance(layer, nn.Conv3d):
            weights = layer.weight.mean(dim=(2, 3, 4)) @ weights
        elif isinstance(layer, nn.Linear):
            weights = layer.weight @ weights
    return torch.einsum("k,kzyx->zyx", weights[POSITIVE], features[0]).relu()


def hirescam(network: Explained, features: Tensor) -> Tensor:
    """Product of feature and gradient, summed over channels (Draelos & Carin, arXiv:2011.08891).

    Exact in its places, but sparse: behind the head's max pools only winners have a gradient.
    """
    return (features[0] * gradient(network, features)).sum(dim=0).relu()


def layercam(network: Explained, features: Tensor) -> Tensor:
    """Features weighted by their own gradient where that is positive, summed over channels.

    Source: Jiang et al. 2021, doi:10.1109/TIP.2021.3089943.
    """
    return (features[0] * gradient(network, features).relu()).sum(dim=0).relu()


def grad_cam(network: Explained, features: Tensor) -> Tensor:
    """Features weighted by their channel's summed gradient (Selvaraju et al., arXiv:1610.02391).

    Dense: what made the winners win counts wherever it is seen.
    """
    weights = gradient(network, features).sum(dim=(1, 2, 3))
    return torch.einsum("k,kzyx->zyx", weights, features[0]).relu()


def normgrad(network: Explained, features: Tensor) -> Tensor:
    """Length of the feature vector times that of its gradient (Rebuffi et al., arXiv:2004.02866).

    Their loss is the cross-entropy to the predicted class. Of two classes its gradient is that of
    the logits' difference times the other class's probability: one factor for the whole map,
    which is left out here because a sure network rounds it to 0.
    """
    squares = features[0].square().sum(dim=0) * gradient(network, features).square().sum(dim=0)
    return squares.sqrt()


def evidence(network: Explained, features: Tensor) -> Tensor:
    """Evidence of each cell as a probability: what the score itself was made from.

    Raises
    ------
    ModelError
        If the network has no map of evidence.
    """
    if not isinstance(network, Evidenced):
        raise ModelError(f"evidence: expected a network that maps it, got {type(network).__name__}")
    return network.evidence_map(features)[0].sigmoid()


def default(network: Explained, features: Tensor) -> Tensor:
    """Evidence where the network maps it, else Grad-CAM."""
    return METHODS[default_method(network)](network, features)


def gradient(network: Explained, features: Tensor) -> Tensor:
    """Gradient ``(128, planes, rows, columns)`` of the evidence for the positive class."""
    with torch.enable_grad():
        leaf = features.clone().requires_grad_()
        logits = network.head(leaf)[0]
        (slope,) = torch.autograd.grad(logits[POSITIVE] - logits[NEGATIVE], leaf)
    return slope[0]


DEFAULT_METHOD = str(ActivationMethod.DEFAULT)
METHODS: Mapping[str, Method] = {
    ActivationMethod.PAPER_CAM: paper_cam,
    ActivationMethod.NORMGRAD: normgrad,
    ActivationMethod.LAYERCAM: layercam,
    ActivationMethod.HIRESCAM: hirescam,
    ActivationMethod.GRAD_CAM: grad_cam,
    ActivationMethod.EVIDENCE: evidence,
    ActivationMethod.DEFAULT: default,
}


def default_method(network: Explained) -> str:
    """Name of the method that `DEFAULT_METHOD` stands for with this network."""
    evidenced = isinstance(network, Evidenced)
    return str(ActivationMethod.EVIDENCE if evidenced else ActivationMethod.GRAD_CAM)


def methods_of(network: Explained) -> tuple[str, ...]:
    """Names of the methods that this network can be explained by, without `DEFAULT_METHOD`."""
    missing: set[str] = {DEFAULT_METHOD}
    if not isinstance(network, DeCoVNet):
        missing.add(ActivationMethod.PAPER_CAM)
    if not isinstance(network, Evidenced):
        missing.add(ActivationMethod.EVIDENCE)
    return tuple(str(name) for name in METHODS if name not in missing)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activation:
    """Activation on the volume's grid, made one slice at a time.

    Attributes
    ----------
    planes
        Not negative, of any scale.
    lungs
        ``(slices, rows, columns)``, above 0 within lungs; the activation is 0 outside.
    low, high
        Least and largest value within the lungs, which become 0 and 1; all is 0 if they are one.
    """

    planes: SourcePlanes
    lungs: NDArray[np.uint8] | NDArray[np.bool_]
    low: float
    high: float

    def __len__(self) -> int:
        return len(self.planes)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Give the plane ``(rows, columns)`` of a slice, 0 to 1."""
        return _stretched(self.planes[index], self.lungs[index] > 0, self.low, self.high)


def activation(
    scored: Scored,
    network_input: NetworkInput,
    lungs: NDArray[np.uint8] | NDArray[np.bool_],
    *,
    method: str = DEFAULT_METHOD,
) -> Activation:
    """Activation on the volume's grid.

    Parameters
    ----------
    lungs
        ``(slices, rows, columns)``, above 0 within lungs; the activation is 0 outside.
    method
        A key of `METHODS`; one of `methods_of` the network, or `DEFAULT_METHOD`.

    Returns
    -------
    Activation
        0 to 1 over the lungs; all 0 if nothing is active.
    """
    planes = network_input.source_planes(
        cells_of(scored, method), stride=FEATURE_STRIDE, offset=FEATURE_OFFSET
    )
    low, high = np.inf, -np.inf
    for plane, held in zip(planes, lungs, strict=True):
        inside = plane[held > 0]
        if inside.size:
            low, high = min(low, float(inside.min())), max(high, float(inside.max()))
    return Activation(planes=planes, lungs=lungs, low=low, high=high)


def on_source(scored: Scored, network_input: NetworkInput, method: str) -> NDArray[np.float32]:
    """Activation of the whole box on the volume's grid: not negative, of any scale."""
    cells = cells_of(scored, method)
    return network_input.to_source(cells, stride=FEATURE_STRIDE, offset=FEATURE_OFFSET)


def cells_of(scored: Scored, method: str) -> NDArray[np.float32]:
    """Activation of the cells of the feature map, ``(planes, rows, columns)``."""
    with torch.no_grad():
        cells: NDArray[np.float32] = (
            METHODS[method](scored.network, scored.features).float().cpu().numpy()
        )
    return cells


def stretch(values: NDArray[np.float32], lungs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bring the values within the lungs to 0..1, and all others to 0."""
    inside = values[lungs]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
    return _stretched(values, lungs, low, high)


def _stretched(
    values: NDArray[np.float32], lungs: NDArray[np.bool_], low: float, high: float
) -> NDArray[np.float32]:
    if high <= low:
        return np.zeros_like(values)
    stretched: NDArray[np.float32] = np.where(lungs, (values - low) / (high - low), 0)
    return stretched.astype(np.float32)
