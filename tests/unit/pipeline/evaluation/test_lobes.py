"""Lobes are compared with those of a reference."""

import numpy as np

from pipeline.evaluation.lobes import BETWEEN, REFERENCE, agreement, divided_lungs, evidence_row
from pipeline.lobar_extent import Fissure, FissureEvidence, Lobe
from pipeline.types import LungMask
from tests.support.samples.chest_with_lobes import ALL, chest, lungs, truth


def test_known_lobes_are_found_to_agree() -> None:
    volume = chest(lungs(), sheets=ALL)
    numbers = np.array([0, *(REFERENCE.index(lobe) + 1 for lobe in Lobe)], np.uint8)
    reference = numbers[truth(lungs())]

    found = divided_lungs(volume, LungMask(labels=lungs(), method="unet"))
    agreed = agreement(found, reference, volume)
    moved = agreement(found, np.roll(reference, 8, axis=0), volume)

    assert set(agreed.dice) == set(Lobe)
    assert set(agreed.distance_mm) == set(Fissure) == set(BETWEEN)
    assert min(agreed.dice.values()) > 0.93
    assert max(agreed.distance_mm.values()) < 2.5
    assert max(moved.dice.values()) < 0.95
    assert min(moved.distance_mm.values()) > 5


def test_a_row_says_whether_a_fissure_is_seen() -> None:
    found = FissureEvidence(fissure=Fissure.LEFT_OBLIQUE, seen=0.31, contrast=6.63)

    assert evidence_row("2", found) == "| 2 | left oblique fissure | 0.31 | 6.6 | yes |"
