"""The classifier's training material and its judgement do what they promise."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.networks.decovnet import FEATURES, NEGATIVE, POSITIVE, DeCoVNet
from pipeline.training.begin_head import DOUBTFUL, begin_head
from pipeline.training.chests import Chest
from pipeline.training.judge_classifier import Verdict, auc, fit_temperature, youden
from pipeline.training.pairs import Material, draw_pair
from pipeline.training.write_classifier import note

SHAPE = (16, 48, 64)
WINDOW_HU = (-1200.0, 600.0)


def chest(*, real: bool = False) -> Chest:
    lungs = np.zeros((20, 60, 80), np.bool_)
    lungs[2:18, 6:54, 6:36] = lungs[2:18, 6:54, 44:74] = True
    return Chest(
        hu=np.where(lungs, -850, 40).astype(np.int16),
        lungs=lungs,
        lesions=np.zeros_like(lungs),
        depth_mm=np.where(lungs, 8, 0).astype(np.float16),
        size_mm=(200.0, 180.0, 260.0),
        real=real,
    )


MATERIAL = Material(real=[chest(real=True)], healthy=[chest()], diseased=[])


@pytest.mark.parametrize("seed", range(4))
def test_pair_differs_only_where_lesions_were_painted(seed: int) -> None:
    pair = draw_pair(MATERIAL, SHAPE, WINDOW_HU, np.random.default_rng([6, seed]))
    positive, negative = pair.pictures

    assert pair.pictures.shape == (2, 2, *SHAPE)
    assert pair.labels.tolist() == [POSITIVE, NEGATIVE]
    assert pair.lesions.shape == (2, 8, 6, 8)
    assert pair.lesions[0].max() > 0
    assert pair.lesions[1].max() == 0
    changed = (positive[0] - negative[0]).abs() > 0.02
    assert 0 < changed.float().mean() < 0.5
    assert (positive[1] - negative[1]).abs().max() == 0


def test_same_seed_draws_the_same_pair() -> None:
    drawn = [draw_pair(MATERIAL, SHAPE, WINDOW_HU, np.random.default_rng(8)) for _ in range(2)]

    assert torch.equal(drawn[0].pictures, drawn[1].pictures)


def test_head_begins_as_the_largest_evidence() -> None:
    torch.manual_seed(4)
    network, locate = DeCoVNet().eval(), nn.Conv3d(FEATURES, 1, 1)
    begin_head(network, locate)
    features = torch.rand(2, FEATURES, 16, 24, 36)

    with torch.no_grad():
        largest = locate(features).amax(dim=(1, 2, 3, 4))
        logits = network.head(features)

    lead = logits[:, POSITIVE] - logits[:, NEGATIVE]
    torch.testing.assert_close(lead, largest - DOUBTFUL, atol=0.15, rtol=0)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    assert auc(np.array([0.9, 0.4]), np.array([0.1, 0.4])) == pytest.approx(3.5 / 4)


def test_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert youden(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == pytest.approx(0.5)


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-logits / 1.7))

    assert fit_temperature(logits[labels], logits[~labels]) == pytest.approx(1.7, rel=0.05)


def test_card_keeps_what_others_entered_and_replaces_its_own() -> None:
    card = {"trained_on": ["phantoms (lungs)"], "limits": ["lungs: young"], "reproduce": "lungs"}
    verdict = Verdict(
        temperature=1, threshold=0.5, auc=1, brier=0, sensitivity=1, specificity=1, pairs=2
    )

    note(card, verdict, ["a"], "train_classifier 1")
    once = {key: list(value) for key, value in card.items() if isinstance(value, list)}
    note(card, verdict, ["a"], "train_classifier 2")

    assert {key: card[key] for key in once} == once
    assert card["trained_on"][0] == "phantoms (lungs)"
    assert card["limits"][0] == "lungs: young"
    assert card["reproduce"] == "lungs; train_classifier 2"
