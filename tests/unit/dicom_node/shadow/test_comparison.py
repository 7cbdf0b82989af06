"""Two models on the same patients: what is counted, listed, and asked for by the gate."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dicom_node.console.feedback.truth import Labelled
from dicom_node.shadow.comparison import MOST_LISTED, Comparison, compare, pairs_of
from dicom_node.shadow.gate import GateRule, conditions
from pipeline.decision import Bounds
from storage.results.shadow import NewShadow, ShadowPair

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TWO = Bounds(threshold=0.5, operating_point="site")
THREE = Bounds(threshold=0.5, operating_point="sets", indeterminate_from=0.25)
RULE = GateRule(
    least_patients=100, least_labelled=20, auc_margin=0.05, most_changed=0.1, most_failed=0.05
)


def pair(
    number: int, first: float, second: float | None, patient: str = "", scanner: str = ""
) -> ShadowPair:
    return ShadowPair(
        series_instance_uid=f"9.{number}",
        patient=patient or f"p{number}",
        result_key=f"{number:064d}",
        at=NOW,
        score=first,
        scanner=scanner,
        second=NewShadow(
            model="second 1",
            manifest_sha256="b" * 64,
            score=second,
            opacities_ml=12.0,
            opacities_of_result_ml=10.0,
            reason="" if second is not None else "no-lungs: none",
        ),
    )


def truth(number: int, *, is_positive: bool, by_diagnosis: bool = True) -> dict[str, Labelled]:
    said = Labelled(score=0.0, is_positive=is_positive, by_diagnosis=by_diagnosis)
    return {f"9.{number}": said}


def compared(
    pairs: list[ShadowPair], known: dict[str, Labelled] | None = None, bounds: Bounds = TWO
) -> Comparison:
    known = known or {}
    pairs_now = pairs_of(pairs, known, first=lambda _: bounds, second=lambda _: bounds)
    return compare(pairs_now, known)


def test_answers_are_by_the_bounds_of_each_model() -> None:
    pairs = [pair(1, 0.4, 0.6), pair(2, 0.6, 0.4), pair(3, 0.7, 0.8), pair(4, 0.1, 0.2)]

    found = compared(pairs, bounds=THREE)

    assert found.answers == {
        "above/above": 1,
        "above/indeterminate": 1,
        "below/below": 1,
        "indeterminate/above": 1,
    }
    assert found.changed is not None
    assert (found.changed.count, found.changed.total) == (2, 4)
    assert (found.above.only_first, found.above.only_second) == (1, 1)


def test_answers_are_by_the_bounds_of_the_scanner() -> None:
    pairs = [pair(1, 0.4, 0.4, scanner="north"), pair(2, 0.4, 0.4)]
    found = pairs_of(
        pairs,
        {},
        first=lambda scanner: THREE if scanner == "north" else TWO,
        second=lambda _: TWO,
    )

    assert [str(one.first_answer) for _, one in found.values()] == ["indeterminate", "below"]
    assert compare(found, {}).answers == {"below/below": 1, "indeterminate/below": 1}


def test_each_patient_counts_once_and_with_a_series_of_which_the_truth_is_known() -> None:
    pairs = [
        pair(1, 0.4, None, "one"),
        pair(2, 0.1, 0.2, "one"),
        pair(3, 0.6, 0.9, "one"),
        pair(4, 0.5, 0.5, "two"),
    ]

    found = compared(pairs, truth(3, is_positive=True))

    assert (found.series, found.patients, found.positives, found.by_diagnosis) == (4, 2, 1, 1)
    assert found.answers == {"above/above": 1, "below/below": 1}
    assert found.failed is not None
    assert (found.failed.count, found.failed.total) == (1, 4)


def test_a_patient_counts_with_the_first_series_in_which_both_found_something() -> None:
    found = compared(
        [pair(1, 0.4, None, "one"), pair(2, 0.1, 0.2, "one"), pair(3, 0.6, 0.9, "one")]
    )

    assert (found.patients, found.answers) == (1, {"below/below": 1})


def test_differences_are_second_less_first() -> None:
    found = compared([pair(number, 0.3, 0.3 + number / 100) for number in range(1, 6)])

    assert found.score is not None
    assert found.score.bias.value == pytest.approx(0.03)
    assert found.opacities_ml is not None
    assert found.opacities_ml.bias.value == pytest.approx(2.0)
    assert found.lungs_ml is None


def test_what_differs_most_is_listed_first_with_its_page() -> None:
    alike = [pair(number, 0.3, 0.31) for number in range(10, 10 + MOST_LISTED)]
    pairs = [pair(1, 0.2, 0.2), *alike, pair(2, 0.45, 0.55), pair(3, 0.1, 0.45), pair(4, 0.3, None)]

    listed = compared(pairs).differing

    assert [one.page for one in listed[:3]] == ["/series/9.4", "/series/9.2", "/series/9.3"]
    assert len(listed) == MOST_LISTED
    assert listed[0].reason == "no-lungs: none"
    assert listed[1].reference == "0" * 12


def test_areas_need_two_patients_of_each_class() -> None:
    known = truth(1, is_positive=True) | truth(2, is_positive=False) | truth(3, is_positive=False)
    pairs = [pair(number, number / 10, number / 10) for number in range(1, 5)]

    assert compared(pairs, known).area is None
    assert compared(pairs, known | truth(4, is_positive=True)).area is not None


def stream(
    count: int, *, moved: int = 0, failed: int = 0, known: int = 40, worse: bool = False
) -> Comparison:
    """Patients, sick ones with higher scores; some get another answer, or none; some are known."""
    pairs, labels = [], {}
    for number in range(count):
        sick = number % 2 == 0
        first = (0.55 if sick else 0.1) + (number % 7) / 20
        second = first if not worse else (number * 37 % 100) / 100
        second = 1 - first if number < moved else second
        pairs.append(pair(number, first, None if count - number <= failed else second))
        if number < known:
            labels |= truth(number, is_positive=sick)
    return compared(pairs, labels)


def unmet(found: Comparison, rule: GateRule = RULE) -> list[str]:
    return [one.what.split(":")[0] for one in conditions(found, rule) if not one.is_met]


def test_the_gate_opens_for_a_model_that_says_the_same() -> None:
    assert unmet(stream(200)) == []


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (stream(99), ["at least 100 patients"]),
        (stream(200, moved=18), ["patients with another answer"]),
        (stream(200, failed=8), ["series without a second result"]),
    ],
)
def test_the_gate_names_each_condition_that_is_not_met(found: Comparison, what: list[str]) -> None:
    assert what[0] in unmet(found)


def test_the_gate_does_not_open_without_the_truth_nor_for_a_worse_model() -> None:
    area = "area under the ROC curve smaller by 0.05 at most, by the end of the interval"

    assert unmet(stream(200, known=38)) == [
        "the truth of at least 20 patients with the disease and 20 without"
    ]
    assert area in unmet(stream(200, known=0))
    assert area in unmet(stream(200, worse=True))
    uncertain = stream(200, moved=2)
    assert uncertain.area is not None
    assert uncertain.area.difference.value < RULE.auc_margin < uncertain.area.difference.high
    assert area in unmet(uncertain)
    assert area not in unmet(stream(200, worse=True), replace(RULE, auc_margin=0.9))


def test_nothing_compared_passes_nothing() -> None:
    assert len(unmet(compared([]))) == len(conditions(compared([]), RULE))
