"""Count parameters and multiply-accumulates of a network.

Nothing is computed: a copy of the network runs on torch's meta device, which knows shapes only.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Count the trained numbers."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-accumulates of convolutions and linear layers.

    Parameters
    ----------
    shape
        Of the input with its batch, such as ``(1, 2, T, H, W)``.
    """
    shapes_only = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes_only(torch.empty(tuple(shape), device="meta"))
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition
