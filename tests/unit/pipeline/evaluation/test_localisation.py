"""Hits, Dice, detections and FROC are what their definitions say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.cases_with_lesions import Scene, true_lesions
from pipeline.evaluation.localisation.summary import FALSE_PER_SCAN, froc, median, summarise
from pipeline.evaluation.localisation.systems import Found
from pipeline.evaluation.localisation.verdict import (
    NEVER,
    Detections,
    Verdict,
    centre_voxel,
    judge,
)
from pipeline.evaluation.localisation.verdict_list import read_verdicts, verdicts_as_csv

SHAPE = (8, 20, 20)
SPACING_MM = (4.0, 1.5, 1.5)  # 9 mm³ a voxel
VOXEL_ML = 0.009


def block(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[z, y, x] = True
    return mask


FRONT = block(slice(1, 4), slice(1, 6), slice(1, 6))  # 75 voxels
BACK = block(slice(5, 7), slice(12, 17), slice(12, 17))  # 50 voxels
SPECK = block(slice(0, 1), slice(18, 19), slice(0, 4))  # 4 voxels, 36 mm³: too small to count
EMPTY = np.zeros(SHAPE, np.bool_)


def scene(*lesions: np.ndarray, called: bool = True) -> Scene:
    return Scene(
        patient="anybody",
        hu=np.full(SHAPE, -800, np.int16),
        lungs=np.ones(SHAPE, np.bool_),
        truth=true_lesions(np.any([EMPTY, *lesions], axis=0), SPACING_MM),
        spacing_mm=SPACING_MM,
        score=0.9,
        called=called,
        activations={},
    )


def found(*marks: np.ndarray, peak: tuple[int, int, int] | None = None) -> Found:
    labels = np.zeros(SHAPE, np.intp)
    for number, mark in enumerate(marks, start=1):
        labels[mark] = number
    confidences = np.arange(len(marks), 0, -1) / 10  # the first is the surest
    return Found(labels=labels, confidences=confidences, peak=peak)


def test_a_perfect_answer_is_perfect() -> None:
    verdict = judge(scene(FRONT, BACK), found(FRONT, BACK, peak=(2, 3, 3)))

    assert (verdict.hit, verdict.pointed, verdict.dice) == (True, True, 1.0)
    assert verdict.touch == verdict.iou == Detections(lesions=(0.2, 0.1), false=())
    assert verdict.volumes_ml == pytest.approx((75 * VOXEL_ML, 50 * VOXEL_ML))


def test_the_hit_is_that_of_the_lesion_pointed_to() -> None:
    wrong = block(slice(1, 3), slice(14, 18), slice(1, 5))

    assert judge(scene(FRONT), found(FRONT, wrong)).hit
    assert not judge(scene(FRONT), found(wrong, FRONT)).hit
    assert not judge(scene(FRONT), found()).hit
    assert judge(scene(FRONT), found(peak=(0, 0, 0))).pointed is False
    assert judge(scene(FRONT), found()).pointed is None


def test_a_loose_touch_is_no_overlap() -> None:
    wide = block(slice(1, 7), slice(5, 20), slice(0, 20))  # 1800 voxels, over a fifth of FRONT

    verdict = judge(scene(FRONT), found(wide))

    assert verdict.touch == Detections(lesions=(0.1,), false=())
    assert verdict.iou == Detections(lesions=(NEVER,), false=(0.1,))
    assert verdict.dice == pytest.approx(2 * 15 / (75 + 1800))


def test_a_mark_beside_all_lesions_is_false_but_not_on_a_speck() -> None:
    wrong = block(slice(1, 3), slice(14, 18), slice(14, 18))

    verdict = judge(scene(FRONT, SPECK), found(wrong, SPECK))

    assert verdict.volumes_ml == pytest.approx((75 * VOXEL_ML,))
    assert verdict.touch == verdict.iou == Detections(lesions=(NEVER,), false=(0.2,))


def test_a_healthy_case_adds_false_marks_only() -> None:
    verdict = judge(scene(), found(FRONT))

    assert verdict.volumes_ml == ()
    assert verdict.touch == Detections(lesions=(), false=(0.1,))


def test_centre_is_a_voxel_of_the_mask_near_its_centroid_in_mm() -> None:
    ring = block(slice(3, 4), slice(2, 13), slice(2, 13))
    ring[3, 4:11, 4:11] = False  # its centroid lies in the hole
    crossed = np.zeros(SHAPE, np.bool_)
    crossed[(0, 4, 2, 2), (10, 10, 6, 14), (0, 0, 0, 0)] = True  # 8 mm and 6 mm off the middle

    centre = centre_voxel(ring, SPACING_MM)
    assert centre is not None
    assert ring[centre]
    assert centre_voxel(crossed, SPACING_MM) == (2, 6, 0)
    assert centre_voxel(EMPTY, SPACING_MM) is None


CASES = st.lists(
    st.builds(
        Detections,
        lesions=st.lists(st.sampled_from([NEVER, 0.1, 0.3, 0.5, 0.9]), max_size=4).map(tuple),
        false=st.lists(st.sampled_from([0.1, 0.3, 0.4, 0.9]), max_size=6).map(tuple),
    ),
    min_size=1,
    max_size=6,
).filter(lambda cases: any(case.lesions for case in cases))


@settings(max_examples=100, deadline=None)
@given(CASES)
def test_froc_is_what_a_threshold_after_the_other_gives(cases: list[Detections]) -> None:
    lesions = [best for case in cases for best in case.lesions]
    false = [confidence for case in cases for confidence in case.false]
    at = [0.0] * len(FALSE_PER_SCAN)
    for level in {*false, *lesions} - {NEVER}:
        rate = sum(confidence >= level for confidence in false) / len(cases)
        share = sum(confidence >= level for confidence in lesions) / len(lesions)
        at = [
            max(old, share) if rate <= most else old
            for old, most in zip(at, FALSE_PER_SCAN, strict=True)
        ]

    curve = froc(cases)

    assert curve.at == pytest.approx(at)
    assert list(curve.false_per_scan) == sorted(curve.false_per_scan)
    assert list(curve.sensitivity) == sorted(curve.sensitivity)


def test_median_resamples_patients_not_cases() -> None:
    values = np.array([0.1] * 50 + [0.9] * 50)

    one_each = median(values, [str(number) for number in range(100)])
    two = median(values, ["a"] * 50 + ["b"] * 50)

    assert one_each.value == two.value == pytest.approx(0.5)
    assert (two.low, two.high) == pytest.approx((0.1, 0.9))
    half = median(np.array([0.3, 0.4, 0.5, 0.6] * 25), [str(number) for number in range(100)])
    assert half.high - half.low < 0.25


def verdict(*lesions: np.ndarray, called: bool, marks: list[np.ndarray]) -> Verdict:
    return judge(scene(*lesions, called=called), found(*marks))


def test_each_figure_has_its_own_denominator() -> None:
    summary = summarise(
        "any",
        [
            verdict(FRONT, called=True, marks=[FRONT]),
            verdict(FRONT, BACK, called=False, marks=[BACK]),
            verdict(BACK, called=True, marks=[]),
            verdict(called=True, marks=[FRONT]),
        ],
    )

    assert (summary.hit.count, summary.hit.total) == (2, 3)
    assert summary.hit_called is not None
    assert (summary.hit_called.count, summary.hit_called.total) == (1, 2)
    assert summary.pointing is None
    assert summary.dice.value == pytest.approx(2 * 50 / (125 + 50))
    assert {size: (p.count, p.total) for size, p in summary.recall.items()} == {
        "below 1 ml": (2, 4)
    }
    assert summary.touch.at[-1] == pytest.approx(0.5)


def test_a_summary_needs_a_lesion() -> None:
    with pytest.raises(ValueError, match="at least one case with lesions"):
        summarise("any", [verdict(called=True, marks=[FRONT])])


def test_verdicts_come_back_from_their_file(tmp_path: Path) -> None:
    verdicts = {
        "ours": [
            judge(scene(FRONT, BACK), found(FRONT | SPECK, peak=(2, 3, 3))),
            judge(scene(called=False), found(BACK)),
        ],
        "3DCC alone": [judge(scene(FRONT, BACK), found()), judge(scene(called=False), found())],
    }
    file = tmp_path / "verdicts.csv"
    file.write_bytes(verdicts_as_csv(verdicts))

    back = read_verdicts(file)

    assert list(back) == list(verdicts)
    for system, of_system in verdicts.items():
        for one, other in zip(of_system, back[system], strict=True):
            assert other.dice == pytest.approx(one.dice, rel=1e-5)
            assert other.volumes_ml == pytest.approx(one.volumes_ml, rel=1e-5)
            assert replace(other, dice=one.dice, volumes_ml=one.volumes_ml) == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "system,patient\nours,a\n",
        "not a table\n1\n",
        "system,patient,called,hit,pointed,dice,volumes_ml,touch_lesions,touch_false,iou_lesions,"
        "iou_false\nours,a,yes,1,,0.5,1.0,0.5,,0.5,\n",
    ],
)
def test_a_file_of_something_else_has_no_verdicts(text: str, tmp_path: Path) -> None:
    file = tmp_path / "verdicts.csv"
    file.write_text(text)
    with pytest.raises(PipelineError, match="columns system, patient"):
        read_verdicts(file)
    with pytest.raises(PipelineError, match="columns system, patient"):
        read_verdicts(tmp_path / "nowhere.csv")
