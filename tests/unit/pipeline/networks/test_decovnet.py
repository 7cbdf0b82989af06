"""The classifier network has the published shapes; its size and cost: `test_counting`."""

import pytest
import torch
from torch.nn import functional

from pipeline.networks.decovnet import DeCoVNet, larger_of_pairs


def network() -> DeCoVNet:
    torch.manual_seed(0)
    return DeCoVNet().eval()


@pytest.mark.parametrize(
    ("planes", "kept"),
    [(16, 8), (17, 8), (2, 1)],
)
def test_feature_map_halves_planes_and_keeps_an_eighth_of_the_plane(planes: int, kept: int) -> None:
    features = network().features(torch.rand(2, 2, planes, 64, 96))

    assert features.shape == (2, 128, kept, 8, 12)


@pytest.mark.parametrize("planes", [2, 3, 16, 17])
def test_of_two_planes_the_larger_values_are_kept(planes: int) -> None:
    x = torch.randn(2, 3, planes, 5, 7)

    assert torch.equal(larger_of_pairs(x), functional.max_pool3d(x, (2, 1, 1)))


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


def test_without_the_mask_channel_the_mask_is_not_looked_at() -> None:
    torch.manual_seed(0)
    net, x = DeCoVNet(channels=1).eval(), torch.rand(1, 2, 4, 64, 96)
    other_mask, other_image = x.clone(), x.clone()
    other_mask[:, 1] = 0
    other_image[:, 0] = torch.rand(1, 4, 64, 96)

    assert torch.equal(net(x), net(other_mask))
    assert not torch.equal(net(x), net(other_image))
