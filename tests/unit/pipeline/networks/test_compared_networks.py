"""The networks that DeCoVNet is compared with: what their architecture promises."""

import pytest
import torch

from pipeline.networks.clfnet2d import SLICES_AT_A_TIME, ClfNet2D
from pipeline.networks.fcclf import FCClf


@pytest.fixture(scope="module")
def fcclf() -> FCClf:
    torch.manual_seed(0)
    return FCClf().eval()


@pytest.fixture
def slicewise() -> ClfNet2D:
    torch.manual_seed(0)
    return ClfNet2D().eval()


@torch.no_grad()
def test_fcclf_pools_any_size_and_scores_each_scan(fcclf: FCClf) -> None:
    x = torch.rand(2, 2, 9, 40, 56)

    features = fcclf.features(x)

    assert features.shape == (2, 128, 4, 5, 7)
    assert torch.equal(fcclf(x), fcclf.head(features))
    assert fcclf(x).shape == (2, 2)


@torch.no_grad()
def test_fcclf_starts_with_logits_of_ordinary_size(fcclf: FCClf) -> None:
    """With the small linears' spread of DeCoVNet the logits would be in the thousands."""
    logits = fcclf(torch.rand(2, 2, 8, 64, 96))

    assert 0.01 < float(logits.abs().max()) < 50


@torch.no_grad()
def test_fcclf_ends_without_a_rectifier(fcclf: FCClf) -> None:
    logits = fcclf.classifier(torch.randn(16, 12_288))

    assert float(logits.min()) < 0 < float(logits.max())


@torch.no_grad()
def test_the_slicewise_map_has_a_row_of_features_for_each_slice(slicewise: ClfNet2D) -> None:
    x = torch.rand(2, 2, 5, 32, 48)

    features = slicewise.features(x)

    assert features.shape == (2, 128, 5, 4, 6)
    torch.testing.assert_close(features[1, :, 3:4], slicewise.features(x[1:, :, 3:4])[0])
    assert slicewise(x).shape == (2, 2)


@torch.no_grad()
def test_the_order_of_slices_is_nothing_to_the_slicewise_network(slicewise: ClfNet2D) -> None:
    x = torch.rand(1, 2, 6, 32, 48)

    torch.testing.assert_close(slicewise(x), slicewise(x.flip(2)))


def test_portions_and_the_second_computation_change_nothing(slicewise: ClfNet2D) -> None:
    x = torch.rand(1, 2, SLICES_AT_A_TIME + 3, 16, 24)
    logits = slicewise(x)
    slopes = torch.autograd.grad(logits[0, 0], list(slicewise.parameters()))

    at_once = slicewise.of_slices(x[0].transpose(0, 1))
    plain = slicewise.head(at_once.transpose(0, 1)[None])
    plain_slopes = torch.autograd.grad(plain[0, 0], list(slicewise.parameters()))

    torch.testing.assert_close(logits, plain)
    torch.testing.assert_close(slopes, plain_slopes, rtol=1e-3, atol=1e-5)
    assert all(float(slope.abs().max()) > 0 for slope in slopes)
