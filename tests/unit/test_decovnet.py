"""The classifier network has the published size, cost and shapes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.networks.decovnet import DeCoVNet

PARAMETERS = 346_978  # the paper's 0.347 M
MACS = 28.5401e9  # at 128 x 224 x 336; the paper's 28.87 G counts 2 more per normalised element


def network() -> DeCoVNet:
    torch.manual_seed(0)
    return DeCoVNet().eval()


def test_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in DeCoVNet().parameters()) == PARAMETERS


def test_costs_the_published_number_of_operations() -> None:
    with torch.device("meta"):
        net, x = DeCoVNet().eval(), torch.empty(1, 2, 128, 224, 336)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)

    assert counter.get_total_flops() / 2 == pytest.approx(MACS, abs=5e4)


@pytest.mark.parametrize(
    ("planes", "kept"),
    [(16, 8), (17, 8), (2, 1)],
)
def test_feature_map_halves_planes_and_keeps_an_eighth_of_the_plane(planes: int, kept: int) -> None:
    features = network().features(torch.rand(2, 2, planes, 64, 96))

    assert features.shape == (2, 128, kept, 8, 12)


def test_forward_is_head_of_features() -> None:
    net, x = network(), torch.rand(2, 2, 16, 64, 96)

    assert torch.equal(net(x), net.head(net.features(x)))
    assert net(x).shape == (2, 2)


def test_each_scan_is_normalised_by_itself() -> None:
    net, x = network(), torch.rand(2, 2, 8, 64, 96)

    alone = net(x[1:])

    torch.testing.assert_close(net(x)[1:], alone, rtol=1e-4, atol=1e-6)


def test_starts_with_silent_branches() -> None:
    net = DeCoVNet()

    assert net.state_dict()["res1.branch.7.weight"].abs().sum() == 0
    assert net.state_dict()["res2.branch.7.weight"].abs().sum() == 0
