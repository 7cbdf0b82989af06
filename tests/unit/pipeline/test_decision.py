"""Opacities that a negative score withholds, and the changes that are named all the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.classifier.conformal import open_classes
from pipeline.decision import GROUP_POINT, SETS_POINT, bounds, decide
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED, Conformal, parse_manifest, read_manifest
from pipeline.options import AnalysisOptions
from pipeline.reasons import QualityFlag
from pipeline.types import Analysis, Answer, Change, ScannerBounds, ScoreClass, Side
from tests.support.samples.encode_samples import analysis, lesion
from tests.support.samples.lobes import all_lobes
from tests.support.scanner_groups import (
    FEW,
    GROUP_HIGH,
    GROUP_LOW,
    OTHER,
    OWN,
    manifest_with_groups,
)

MANIFEST, _ = read_manifest(BUNDLED)


def found(*, share: float, largest_ml: float, score: float = 0.1) -> Analysis:
    labels = np.zeros((6, 16, 24), np.uint8)
    labels[1, 4, 4], labels[3, 4:6, 4:6] = 2, 1
    sample = analysis(
        score=score,
        lesion_labels=labels,
        lesions=(lesion(1, volume_mm3=1000 * largest_ml), lesion(2, volume_mm3=100)),
    )
    return replace(sample, involvement=replace(sample.involvement, total=share))


def decided(sample: Analysis, **options: object) -> Analysis:
    return decide(sample, AnalysisOptions(threshold=0.5, **options), MANIFEST, "")  # type: ignore[arg-type]  # checked at run time


@pytest.mark.parametrize(
    ("share", "largest_ml", "named"),
    [
        (0.033, 2.0, True),  # much in all
        (0.002, 6.0, True),  # one large one
        (0.01, 0.5, True),
        (0.001, 3.0, True),
        (0.0099, 2.99, False),
    ],
)
def test_a_negative_series_with_much_change_says_so(
    share: float, largest_ml: float, named: bool
) -> None:
    result = decided(found(share=share, largest_ml=largest_ml))

    assert not result.lesions
    assert not result.lesion_labels.any()
    assert result.involvement.total is None
    assert (result.unreported is not None) == named
    assert (QualityFlag.UNREPORTED_CHANGES in result.flags) == named


def test_it_is_measured_and_told_where_most_of_it_is() -> None:
    result = decided(found(share=0.033, largest_ml=12.3))

    assert result.unreported is not None
    assert result.unreported.share == 0.033
    assert result.unreported.largest_ml == pytest.approx(12.3)
    assert result.unreported.voxel[0] == 3
    (doubt,) = (d for d in result.doubts if d.code == QualityFlag.UNREPORTED_CHANGES)
    assert doubt.text == ("3.3 % of the lungs, the largest 12.3 ml; named from 1 % or 3 ml on")


def test_nothing_is_unreported_where_opacities_are_reported_or_there_are_none() -> None:
    much = found(share=0.3, largest_ml=50)
    positive = replace(much, classification=replace(much.classification, score=0.9))

    assert decided(positive).unreported is None
    assert decided(much, lesions_when_negative=True).unreported is None
    assert decided(replace(much, lesions=())).unreported is None


def change(volume_ml: float, *, solid: bool = False, side: Side = Side.RIGHT) -> Change:
    return Change(volume_ml=volume_ml, side=side, voxel=(5, 1, 2), solid=solid)


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_a_mass_that_is_no_lesion_is_named_whatever_the_score(score: float) -> None:
    """A radiologist found one of 22 mm in no number and no warning."""
    alone = replace(
        analysis(score=score, lesions=(), lesion_labels=np.zeros((6, 16, 24), np.uint8)),
        changes=(change(5.2, solid=True),),
    )

    named = decided(alone).unreported

    assert named is not None
    assert (named.largest_ml, named.solid_ml, named.voxel) == (5.2, 5.2, (5, 1, 2))
    lungs = alone.involvement
    assert named.share == pytest.approx(5.2 / lungs.total_ml)
    assert (named.right, named.left) == (pytest.approx(5.2 / lungs.right_ml), 0)
    assert decided(replace(alone, changes=(change(2.9),))).unreported is None


def test_lesions_that_are_withheld_and_other_changes_are_measured_together() -> None:
    much = replace(found(share=0.02, largest_ml=12.3), changes=(change(5.2, solid=True),))

    named = decided(much).unreported

    assert named is not None
    assert named.share == pytest.approx(0.02 + 5.2 / much.involvement.total_ml)
    assert (named.largest_ml, named.solid_ml) == (pytest.approx(12.3), 5.2)
    assert named.voxel == (5, 1, 2), "a mass goes before what is larger and paler"
    positive = replace(much, classification=replace(much.classification, score=0.9))
    besides = decided(positive).unreported
    assert besides is not None
    assert besides.largest_ml == 5.2, "reported lesions are no unreported change"


def test_a_site_chooses_from_which_measure_on() -> None:
    some = found(share=0.033, largest_ml=12.3)

    assert decided(some, unreported_share=0.034, unreported_ml=12.4).unreported is None
    assert decided(some, unreported_share=0.034).unreported is not None
    assert AnalysisOptions(unreported_ml=2.0).as_parameters() != AnalysisOptions().as_parameters()


def test_lobes_are_told_where_opacities_are_and_a_site_asks_for_them() -> None:
    positive = replace(analysis(score=0.9), lobar=all_lobes())
    negative = replace(analysis(score=0.1), lobar=all_lobes())

    assert decided(positive, lobes=True).lobar == all_lobes()
    assert decided(positive).lobar is None
    assert decided(negative, lobes=True).lobar is None
    assert decided(negative, lobes=True, lesions_when_negative=True).lobar == all_lobes()
    assert AnalysisOptions(lobes=True).as_parameters() != AnalysisOptions().as_parameters()


assert MANIFEST.conformal is not None
LOW, HIGH = (
    MANIFEST.conformal.levels[0].positive_at_least,
    MANIFEST.conformal.levels[0].negative_at_most,
)
"""Of the bundled model's 90 % sets."""


@pytest.mark.parametrize(
    ("score", "answer", "is_decided"),
    [
        (0.1, Answer.BELOW, False),
        (np.nextafter(LOW, 0), Answer.BELOW, False),
        (LOW, Answer.INDETERMINATE, None),
        (0.44, Answer.INDETERMINATE, None),
        (HIGH, Answer.INDETERMINATE, None),
        (np.nextafter(HIGH, 1), Answer.ABOVE, True),
    ],
)
def test_the_models_prediction_sets_give_three_answers(
    score: float, answer: Answer, is_decided: bool | None
) -> None:
    result = decide(found(share=0.2, largest_ml=50, score=score), AnalysisOptions(), MANIFEST, "")

    called = result.classification
    assert (called.indeterminate_from, called.threshold) == (LOW, HIGH)
    assert (called.answer, called.decided) == (answer, is_decided)
    assert bool(result.lesions) == (answer is Answer.ABOVE), "opacities go with above alone"
    assert (result.involvement.total is None) == (answer is not Answer.ABOVE)


def test_the_answer_is_the_prediction_set_at_every_score() -> None:
    sets = {("negative",): Answer.BELOW, ("positive",): Answer.ABOVE}
    for score in (0.0, 0.2, LOW, 0.3, HIGH, 0.5, 1.0):
        sample = found(share=0.0, largest_ml=0.0, score=score)
        called = replace(
            sample.classification, prediction_set=open_classes(score, MANIFEST.conformal)
        )
        result = decide(replace(sample, classification=called), AnalysisOptions(), MANIFEST, "")
        assert called.prediction_set is not None
        classes = tuple(map(str, called.prediction_set.classes))
        assert result.classification.answer is sets.get(classes, Answer.INDETERMINATE)
        uncertain = QualityFlag.SCORE_UNCERTAIN in result.flags
        assert uncertain == (result.classification.answer is Answer.INDETERMINATE)


def test_sets_that_leave_both_classes_out_are_indeterminate_as_well() -> None:
    """Where classes lie far apart, a score between them is like neither."""
    apart = {"coverage": 0.9, "negative_at_most": 0.3, "positive_at_least": 0.7}
    conformal = Conformal.model_validate(
        {"levels": [apart], "negatives": 9, "positives": 9, "from": "a test"}
    )
    manifest = MANIFEST.model_copy(update={"conformal": conformal})

    answers = [
        decide(found(share=0, largest_ml=0, score=score), AnalysisOptions(), manifest, "")
        for score in (0.3, 0.5, 0.7)  # at the bounds one class is left open: no gap yet
    ]

    assert [one.classification.answer for one in answers] == list(Answer)


def test_a_threshold_of_the_site_gives_two_answers() -> None:
    for score, answer in ((0.3, Answer.BELOW), (0.31, Answer.ABOVE)):
        sample = found(share=0.2, largest_ml=50, score=score)
        called = decide(sample, AnalysisOptions(threshold=0.3), MANIFEST, "").classification
        assert (called.answer, called.threshold, called.operating_point) == (answer, 0.3, "site")
        assert called.indeterminate_from is None


def test_a_model_without_prediction_sets_has_its_operating_point() -> None:
    plain = MANIFEST.model_copy(update={"conformal": None})
    above = np.nextafter(MANIFEST.operating_points["default"].threshold, 1)
    called = decide(found(share=0, largest_ml=0, score=above), AnalysisOptions(), plain, "")
    assert called.classification.operating_point == "default"
    assert called.classification.answer is Answer.ABOVE


def test_answers_change_at_the_bounds_of_the_sets_or_at_the_one_threshold() -> None:
    assert MANIFEST.conformal is not None
    without = MANIFEST.model_copy(update={"conformal": None})

    assert bounds(None, MANIFEST).edges == MANIFEST.conformal.levels[0].indeterminate
    assert bounds(None, without).edges == (MANIFEST.operating_points["default"].threshold,)
    assert bounds(0.3, MANIFEST).edges == (0.3,)


BY_SCANNER = AnalysisOptions(by_scanner=True)


@pytest.mark.parametrize(
    ("score", "answer", "classes"),
    [
        (GROUP_LOW - 0.01, Answer.BELOW, (ScoreClass.NEGATIVE,)),
        (0.7, Answer.INDETERMINATE, (ScoreClass.NEGATIVE, ScoreClass.POSITIVE)),
        (GROUP_HIGH + 0.01, Answer.ABOVE, (ScoreClass.POSITIVE,)),
    ],
)
def test_the_bounds_and_sets_of_a_scanner_group_decide_where_they_are_wanted(
    score: float, answer: Answer, classes: tuple[ScoreClass, ...]
) -> None:
    manifest = manifest_with_groups()
    sample = found(share=0, largest_ml=0, score=score)
    of_all = open_classes(score, manifest.conformal)
    sample = replace(sample, classification=replace(sample.classification, prediction_set=of_all))

    result = decide(sample, BY_SCANNER, manifest, OWN)

    called = result.classification
    assert called.answer is answer
    assert (called.indeterminate_from, called.threshold) == (GROUP_LOW, GROUP_HIGH)
    assert called.operating_point == GROUP_POINT
    assert called.prediction_set is not None
    assert called.prediction_set.classes == classes
    assert (QualityFlag.SCORE_UNCERTAIN in result.flags) == (answer is Answer.INDETERMINATE)
    assert called.scanner_bounds == ScannerBounds(
        group="north", own=True, negatives=40, positives=30
    )


@pytest.mark.parametrize(
    ("scanner", "why"),
    [
        (FEW, ScannerBounds(group="south", negatives=3, positives=12)),
        (OTHER, ScannerBounds()),
        ("", ScannerBounds()),
    ],
)
def test_other_scanners_have_the_bounds_of_all(scanner: str, why: ScannerBounds) -> None:
    manifest = manifest_with_groups()

    chosen = bounds(None, manifest, scanner)

    assert chosen.edges == bounds(None, manifest).edges
    assert chosen.operating_point == SETS_POINT
    assert chosen.scanner_bounds == why


def test_bounds_by_scanner_are_off_unless_wanted_and_yield_to_a_threshold_of_the_site() -> None:
    manifest = manifest_with_groups()
    sample = found(share=0, largest_ml=0, score=0.7)

    plain = decide(sample, AnalysisOptions(), manifest, OWN).classification
    site = decide(sample, replace(BY_SCANNER, threshold=0.3), manifest, OWN).classification

    assert plain.operating_point == SETS_POINT
    assert (site.threshold, site.indeterminate_from, site.operating_point) == (0.3, None, "site")
    assert plain.scanner_bounds is site.scanner_bounds is None
    assert "bounds by scanner" not in AnalysisOptions().as_parameters(), "results so far stand"
    assert BY_SCANNER.as_parameters()["bounds by scanner"] == "yes"


def test_a_scanner_in_two_groups_is_refused() -> None:
    plain = manifest_with_groups().model_dump(mode="json", by_alias=True)
    plain["scanner_groups"]["south"]["scanners"].append(OWN)

    with pytest.raises(ModelError, match=f"each scanner in one group, got {OWN} in several"):
        parse_manifest(json.dumps(plain).encode())
