"""How large and how costly a network is: parameters and multiply-accumulates.

Nothing is computed: a copy of the network runs on torch's meta device, which knows shapes only.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

#: Layers whose elements the paper counts with `PER_NORMALISED` operations.
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
PER_NORMALISED = 2  #: operations per normalised element, as old thop and fvcore count


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
    with FlopCounterMode(display=False) as counter:
        _run(_shadow(network), shape)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition


def paper_count(network: nn.Module, shape: Sequence[int]) -> int:
    """Operations as the paper counts them: `macs`, and two per normalised element.

    Source: found from the published 28.87 G and 25.81 G (Wang et al. 2020, tables III and VII),
    which both follow to the last digit at 128 x 224 x 336.
    """
    shadow = _shadow(network)
    normalised: list[int] = []
    for module in shadow.modules():
        if isinstance(module, NORMS):
            module.register_forward_hook(
                lambda _module, _inputs, out: normalised.append(out.numel())
            )
    _run(shadow, shape)
    return macs(network, shape) + PER_NORMALISED * sum(normalised)


def _shadow(network: nn.Module) -> nn.Module:
    """Copy of a network that has shapes, but no numbers."""
    return copy.deepcopy(network).to("meta").eval()


@torch.no_grad()
def _run(shadow: nn.Module, shape: Sequence[int]) -> Tensor:
    out: Tensor = shadow(torch.empty(tuple(shape), device="meta"))
    return out
