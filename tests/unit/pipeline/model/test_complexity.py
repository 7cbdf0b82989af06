"""Every network has the size and the cost that the paper, or our own count, says."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import nn

from pipeline.model.complexity import macs, parameters
from pipeline.networks.clfnet2d import ClfNet2D
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.fcclf import FCClf
from pipeline.networks.unet import UNet

SCAN = (1, 2, 128, 224, 336)
SLICE = (1, 1, 368, 368)
#: Layers whose elements the paper counts with `PER_NORMALISED` operations.
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d)
PER_NORMALISED = 2  #: operations per normalised element, as old thop and fvcore count


def shadow(make: Callable[[], nn.Module]) -> nn.Module:
    """A network without numbers: FCClf alone would take 172 MB."""
    with torch.device("meta"):
        return make()


def paper_count(network: nn.Module, shape: Sequence[int]) -> int:
    """Operations as the paper counts them: `macs`, and two per normalised element.

    Found from the published 28.87 G and 25.81 G (Wang et al. 2020, tables III and VII), which both
    follow to the last digit at 128 x 224 x 336. The network is one of `shadow`.
    """
    normalised: list[int] = []
    hooks = [
        module.register_forward_hook(lambda _module, _input, out: normalised.append(out.numel()))
        for module in network.modules()
        if isinstance(module, NORMS)
    ]
    with torch.no_grad():
        network.eval()(torch.empty(tuple(shape), device="meta"))
    for hook in hooks:
        hook.remove()
    return macs(network, shape) + PER_NORMALISED * sum(normalised)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (DeCoVNet, 346_978),
        (partial(DeCoVNet, dropout=0.0), 346_978),
        (partial(DeCoVNet, channels=1), 343_058),
        (FCClf, 43_104_514),
        (ClfNet2D, 602_370),
        (UNet, 839_506),
    ],
)
def test_parameters(make: Callable[[], nn.Module], expected: int) -> None:
    assert parameters(shadow(make)) == expected


@pytest.mark.parametrize(
    ("make", "shape", "giga"),
    [
        (DeCoVNet, SCAN, 28.5401),
        (FCClf, SCAN, 25.4763),
        (ClfNet2D, SCAN, 208.0899),
        (UNet, SLICE, 4.002),
    ],
)
def test_multiply_accumulates(
    make: Callable[[], nn.Module], shape: tuple[int, ...], giga: float
) -> None:
    digits = len(str(giga).split(".")[1])
    assert round(macs(shadow(make), shape) / 1e9, digits) == giga


@pytest.mark.parametrize(
    ("make", "shape", "giga"),
    [(DeCoVNet, SCAN, 28.8725), (FCClf, SCAN, 25.8086), (UNet, SLICE, 4.031)],
)
def test_operations_in_the_paper_s_convention(
    make: Callable[[], nn.Module], shape: tuple[int, ...], giga: float
) -> None:
    digits = len(str(giga).split(".")[1])
    assert round(paper_count(shadow(make), shape) / 1e9, digits) == giga


def test_counting_leaves_the_network_as_it_was() -> None:
    network = DeCoVNet().train()

    macs(network, (1, 2, 4, 32, 32))

    assert network.training
    assert next(network.parameters()).device.type == "cpu"
