"""EvidenceNet: its size, and that its map is its explanation."""

import pytest
import torch

from pipeline.model.complexity import macs, parameters
from pipeline.networks.decovnet import NEGATIVE, POSITIVE, DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.networks.explainable import Explained

PAPER_SHAPE = (1, 2, 128, 224, 336)


@pytest.fixture
def network() -> EvidenceNet:
    torch.manual_seed(2)
    return EvidenceNet().eval()


def picture(*, lungs: bool = True) -> torch.Tensor:
    x = torch.rand(1, 2, 20, 48, 64)
    x[:, 1] = float(lungs)
    return x


def test_it_is_smaller_and_cheaper_than_decovnet(network: EvidenceNet) -> None:
    assert isinstance(network, Explained)
    assert parameters(network) == 87_432
    assert macs(network, PAPER_SHAPE) / 1e9 == pytest.approx(14.19, abs=0.01)
    assert macs(network, PAPER_SHAPE) < 0.5 * macs(DeCoVNet(), PAPER_SHAPE)


def test_features_lie_on_decovnets_grid(network: EvidenceNet) -> None:
    with torch.inference_mode():
        assert network.features(picture()).shape == DeCoVNet().features(picture()).shape


def test_the_score_follows_from_the_map_alone(network: EvidenceNet) -> None:
    with torch.inference_mode():
        x = picture()
        features = network.features(x)
        score = network.score(network.evidence_map(features))
        logits = network(x)

    torch.testing.assert_close(logits[:, POSITIVE] - logits[:, NEGATIVE], score)


def test_more_evidence_never_lowers_the_score(network: EvidenceNet) -> None:
    evidence = torch.randn(1, 10, 6, 8)
    higher = evidence.clone()
    higher[0, 4, 2, 1] += 3
    both = higher.clone()
    both[0, 4, 2, 6] += 3

    with torch.inference_mode():
        scores = [float(network.score(cells)) for cells in (evidence, higher, both)]

    assert scores == sorted(scores)
    assert scores[2] > scores[1] + 1e-4, "the other side counts too"


def test_left_and_right_count_alike(network: EvidenceNet) -> None:
    evidence = torch.randn(2, 10, 6, 8)

    with torch.inference_mode():
        torch.testing.assert_close(network.score(evidence), network.score(evidence.flip(-1)))


def test_without_lungs_there_is_no_feature(network: EvidenceNet) -> None:
    with torch.inference_mode():
        assert network.features(picture(lungs=False)).abs().max() == 0
