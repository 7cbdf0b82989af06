"""Sentences on lobes: the extent in each, the severity score, or why it is not given."""

from dataclasses import replace

import pytest

from pipeline.encode.common.sentences import affected_lobes_sentence, lobes_sentences
from pipeline.lobar_extent import LobarExtent, Lobe
from tests.support.samples.encode_samples import analysis
from tests.support.samples.lobes import LEFT, all_lobes, left_lobes, no_lobes


def said(lobar: LobarExtent | None) -> tuple[str, ...]:
    return lobes_sentences(replace(analysis(), lobar=lobar))


def test_all_lobes_and_their_score_are_told() -> None:
    assert said(all_lobes()) == (
        "CT severity score 2 of 25 (experimental).",
        "Opacities by lobe (experimental): right upper lobe (800 ml): none localised;"
        " right middle lobe (800 ml): none localised; right lower lobe (800 ml): 10.0 %;"
        " left upper lobe (800 ml): none localised; left lower lobe (800 ml): none localised.",
    )


@pytest.mark.parametrize(
    ("lobar", "first"),
    [
        (
            left_lobes(),
            "CT severity score not given: not seen well enough: right oblique fissure.",
        ),
        (
            no_lobes(),
            "CT severity score not given: not seen well enough: right oblique fissure,"
            " left oblique fissure.",
        ),
        (
            LobarExtent(
                lobes=tuple(one for one in all_lobes().lobes if one.lobe in LEFT),
                fissures=all_lobes().fissures[2:],
            ),
            "CT severity score not given: not all five lobes were found.",
        ),
        (
            LobarExtent(lobes=(), fissures=()),
            "Lobes not given: the lungs were not told apart.",
        ),
    ],
)
def test_a_score_that_is_not_given_has_its_reason(lobar: LobarExtent, first: str) -> None:
    reason, *_ = said(lobar)

    assert reason == first


def test_the_lobes_that_are_given_are_told_without_the_others() -> None:
    _, shares = said(left_lobes())

    assert "left upper lobe" in shares
    assert "right" not in shares
    assert len(Lobe) == 5


def test_lobes_with_opacities_are_named_for_the_page() -> None:
    def named(lobar: LobarExtent | None) -> str:
        return affected_lobes_sentence(replace(analysis(), lobar=lobar))

    assert named(all_lobes()) == "Lobes with opacities: right lower lobe 10.0 %."
    assert named(left_lobes()) == named(None) == ""


def test_nothing_is_said_where_lobes_are_not_asked_for() -> None:
    assert said(None) == ()
