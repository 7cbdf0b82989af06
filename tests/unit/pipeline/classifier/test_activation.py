"""Every activation is what its paper defines, checked cell by cell on a tiny network."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.classifier.activation import DEFAULT_METHOD, METHODS, default_method, methods_of
from pipeline.errors import ModelError
from pipeline.networks.decovnet import NEGATIVE, POSITIVE, DeCoVNet

CHANNELS, PLANES, ROWS, COLUMNS = 3, 2, 3, 2


class Tiny(nn.Module):
    """A head that is not linear, so that gradients differ from cell to cell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(CHANNELS, 4, 3, padding=1)
        self.linear = nn.Linear(4, 2)

    def features(self, x: Tensor) -> Tensor:
        return x

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(torch.tanh(self.conv(features)).mean(dim=(2, 3, 4)))
        return logits


class TinyEvidenced(Tiny):
    def evidence_map(self, features: Tensor) -> Tensor:
        return features.sum(dim=1)


@pytest.fixture(scope="module")
def network() -> Tiny:
    torch.manual_seed(11)
    return Tiny().double()


@pytest.fixture(scope="module")
def features() -> Tensor:
    torch.manual_seed(12)
    return torch.randn(1, CHANNELS, PLANES, ROWS, COLUMNS, dtype=torch.float64)


@torch.no_grad()
def slope(network: Tiny, features: Tensor, at: tuple[int, ...]) -> float:
    """Rise of the lead of the positive class with one feature, by a small step either way."""
    step = torch.zeros_like(features)
    step[(0, *at)] = 1e-5
    above, below = network.head(features + step)[0], network.head(features - step)[0]
    lead = (above - below)[POSITIVE] - (above - below)[NEGATIVE]
    return float(lead) / 2e-5


def cells() -> list[tuple[int, int, int]]:
    return [(z, y, x) for z in range(PLANES) for y in range(ROWS) for x in range(COLUMNS)]


def plain(method: str, network: Tiny, features: Tensor) -> Tensor:
    """The definitions, one cell and one channel after the other."""
    x = {(k, *u): float(features[(0, k, *u)]) for k in range(CHANNELS) for u in cells()}
    g = {at: slope(network, features, at) for at in x}
    total = [sum(g[(k, *u)] for u in cells()) for k in range(CHANNELS)]
    found = torch.zeros(PLANES, ROWS, COLUMNS, dtype=torch.float64)
    for u in cells():
        channels = [(k, *u) for k in range(CHANNELS)]
        found[u] = {
            "hirescam": max(0.0, sum(x[c] * g[c] for c in channels)),
            "layercam": max(0.0, sum(x[c] * max(0.0, g[c]) for c in channels)),
            "grad-cam": max(0.0, sum(x[c] * total[c[0]] for c in channels)),
            "normgrad": math.hypot(*(x[c] for c in channels))
            * math.hypot(*(g[c] for c in channels)),
        }[method]
    return found


@pytest.mark.parametrize("method", ["hirescam", "layercam", "grad-cam", "normgrad"])
def test_activation_is_what_its_definition_says(
    method: str, network: Tiny, features: Tensor
) -> None:
    expected = plain(method, network, features)

    assert expected.any()
    assert expected.unique().numel() > 2  # else any constant would do
    torch.testing.assert_close(
        METHODS[method](network, features).detach(), expected, rtol=1e-6, atol=1e-9
    )


def test_normgrad_is_that_of_the_cross_entropy_but_for_its_scale(
    network: Tiny, features: Tensor
) -> None:
    leaf = features.clone().requires_grad_()
    logits = network.head(leaf)
    loss = functional.cross_entropy(logits, logits.argmax(dim=1))
    (g,) = torch.autograd.grad(loss, leaf)
    expected = features[0].norm(dim=0) * g[0].norm(dim=0)

    found = METHODS["normgrad"](network, features).detach()

    torch.testing.assert_close(found / found.max(), expected / expected.max())


@torch.no_grad()
def test_evidence_is_the_networks_own_map(features: Tensor) -> None:
    network = TinyEvidenced().double()

    found = METHODS["evidence"](network, features)

    assert float(found[1, 2, 0]) == pytest.approx(
        1 / (1 + math.exp(-float(features[0, :, 1, 2, 0].sum())))
    )
    assert torch.equal(METHODS[DEFAULT_METHOD](network, features), found)


def test_each_network_has_the_methods_that_it_can_be_explained_by() -> None:
    decovnet, evidenced = DeCoVNet(), TinyEvidenced()

    assert "paper-cam" in methods_of(decovnet)
    assert "evidence" not in methods_of(decovnet)
    assert default_method(decovnet) == "grad-cam"
    assert "evidence" in methods_of(evidenced)
    assert "paper-cam" not in methods_of(evidenced)
    assert default_method(evidenced) == "evidence"


def test_a_method_refuses_a_network_that_it_cannot_explain(network: Tiny, features: Tensor) -> None:
    with pytest.raises(ModelError, match="paper-cam: expected a DeCoVNet, got Tiny"):
        METHODS["paper-cam"](network, features)
    with pytest.raises(ModelError, match="evidence: expected a network that maps it, got Tiny"):
        METHODS["evidence"](network, features)
