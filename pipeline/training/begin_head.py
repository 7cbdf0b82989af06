"""Let the classifier's head begin as the largest evidence of its feature map."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.networks.decovnet import NEGATIVE, POSITIVE, DeCoVNet

KEPT = 6.0  #: evidence (a logit) above minus this passes the head's rectifiers
DOUBTFUL = 1.0  #: largest evidence at which the score begins as one half
QUIET = 0.1  #: share of their random weights that the other channels keep


@torch.no_grad()
def begin_head(network: DeCoVNet, locate: nn.Conv3d) -> None:
    """Make channel 0 of the head pass on a located evidence; the others stay random, quiet.

    Parameters
    ----------
    locate
        1x1x1 convolution from the feature map to one logit per cell; left as it is.
    """
    first, *later = [layer for layer in network.evidence if isinstance(layer, nn.Conv3d)]
    for layer in (first, *later):
        layer.weight.mul_(QUIET)
        layer.weight[0] = 0
    first.weight[0, :, 1, 1, 1] = locate.weight[0, :, 0, 0, 0]
    first.bias[0] = locate.bias[0] + KEPT  # type: ignore[index] # built with a bias
    for layer in later:
        layer.weight[0, 0, 1, 1, 1] = 1
    _begin_linears(network.classifier)


def _begin_linears(linears: nn.Sequential) -> None:
    """Half the evidence for the one class, half against the other."""
    first, last = linears
    if not (isinstance(first, nn.Linear) and isinstance(last, nn.Linear)):
        raise TypeError(f"expected two linear layers, got {linears}")
    for layer in (first, last):
        layer.weight.mul_(QUIET)
    first.weight[0] = 0
    first.weight[0, 0] = 1
    for index, sign in ((POSITIVE, 0.5), (NEGATIVE, -0.5)):
        last.weight[index, 0] = sign
        last.bias[index] = -sign * (KEPT + DOUBTFUL)
