"""The CT severity score follows from the shares of all five lobes."""

import pytest

from pipeline.lobar_extent import (
    MIN_CONTRAST,
    MIN_SEEN,
    Fissure,
    FissureEvidence,
    LobarExtent,
    Lobe,
    LobeExtent,
)


def lobe(share: float, one: Lobe = Lobe.LEFT_LOWER) -> LobeExtent:
    return LobeExtent(lobe=one, volume_ml=1000.0, opaque_ml=1000 * share)


@pytest.mark.parametrize(
    ("share", "score"),
    [
        (0.0, 0),  # no involvement
        (0.001, 1),
        (0.049, 1),
        (0.05, 2),
        (0.06, 2),
        (0.25, 2),
        (0.26, 3),
        (0.50, 3),
        (0.51, 4),
        (0.75, 4),
        (0.76, 5),
        (1.0, 5),
    ],
)
def test_a_lobe_scores_by_its_share(share: float, score: int) -> None:
    assert lobe(share).severity == score


def test_the_score_is_the_sum_of_all_five_lobes_or_none() -> None:
    five = tuple(lobe(0.3, one) for one in Lobe)

    assert LobarExtent(lobes=five, fissures=()).severity == 15
    assert LobarExtent(lobes=five[:4], fissures=()).severity is None


@pytest.mark.parametrize(
    ("seen", "contrast", "enough"),
    [
        (MIN_SEEN, MIN_CONTRAST, True),
        (MIN_SEEN - 0.01, MIN_CONTRAST, False),
        (MIN_SEEN, MIN_CONTRAST - 0.1, False),
    ],
)
def test_a_fissure_is_seen_by_its_share_and_its_contrast(
    seen: float, contrast: float, enough: bool
) -> None:
    evidence = FissureEvidence(fissure=Fissure.LEFT_OBLIQUE, seen=seen, contrast=contrast)

    assert evidence.is_seen is enough
    unseen = () if enough else (Fissure.LEFT_OBLIQUE,)
    assert LobarExtent(lobes=(), fissures=(evidence,)).unseen == unseen
