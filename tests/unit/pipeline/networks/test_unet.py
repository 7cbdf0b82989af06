"""The UNet answers for any size, and folding does not change its answer."""

import pytest
import torch
from torch import nn

from pipeline.networks.unet import UNet, folded, slicewise_unet


@pytest.fixture
def network() -> UNet:
    """A network whose batch norms do something."""
    torch.manual_seed(1)
    network = UNet().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn_like(module.weight)
            module.running_var = torch.rand_like(module.weight) + 0.5
    return network


@pytest.mark.parametrize("size", [(64, 64), (50, 37)])
def test_logits_have_the_size_of_the_slice(network: UNet, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(torch.zeros(3, 1, *size)).shape == (3, 2, *size)


def test_folding_keeps_the_answer_and_leaves_the_network_alone(network: UNet) -> None:
    slices = torch.rand(2, 1, 64, 48)
    with torch.inference_mode():
        expected = network(slices)
        found = folded(network)(slices)
        again = network(slices)

    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(again, expected)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(network).modules())


def test_slicewise_is_batch_norm_in_training_mode_on_one_slice(network: UNet) -> None:
    alone = slicewise_unet().eval()
    alone.load_state_dict(
        {name: value for name, value in network.state_dict().items() if name in alone.state_dict()}
    )
    slices = torch.rand(2, 1, 48, 64)

    with torch.inference_mode():
        found = alone(slices)
        expected = torch.cat([network.train()(one[None]) for one in slices])

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
