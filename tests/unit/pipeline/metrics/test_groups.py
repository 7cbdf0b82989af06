"""Figures by group: counts and intervals, and a word where there are too few cases."""

import csv
import io

import numpy as np
import pytest

from pipeline.metrics.groups import FEW, NOT_NAMED, as_csv, as_markdown, by_group
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import proportion

#: Of group a all are right, of group b the negatives are called positive, of no group one case.
GROUPS = ["b"] * 24 + ["a"] * 24 + [""]


def cases() -> ScoredCases:
    labels = np.array([number % 2 == 0 for number in range(len(GROUPS))])
    rng = np.random.default_rng(1)
    scores = np.where(labels, 0.8, 0.2) + rng.uniform(-0.1, 0.1, len(labels))
    scores[:24] += np.where(labels[:24], -0.15, 0.4)
    return ScoredCases(
        patients=tuple(f"p{number // 2}" for number in range(len(GROUPS))),
        labels=labels,
        scores=scores,
    )


def test_each_group_has_figures_of_its_own() -> None:
    first, second, last = by_group(cases(), GROUPS, 0.5)

    assert (first.group, second.group, last.group) == ("a", "b", NOT_NAMED)
    assert (first.cases, first.patients, first.positives, first.negatives) == (24, 12, 12, 12)
    assert first.sensitivity == first.specificity == proportion(12, 12)
    assert second.specificity == proportion(0, 12)
    assert first.auc is not None
    assert first.auc.value == 1
    assert second.auc is not None
    assert second.auc.low < second.auc.value < second.auc.high < 1
    assert first.remark == second.remark == ""


def test_a_group_with_few_cases_says_so() -> None:
    last = by_group(cases(), GROUPS, 0.5)[-1]

    assert (last.cases, last.auc, last.specificity) == (1, None, None)
    assert last.sensitivity == proportion(1, 1)
    assert last.remark == "too few to tell: 1 positive, 0 negative; 10 expected"
    assert proportion(FEW - 1, FEW - 1).low < 0.71 < proportion(FEW, FEW).low


def test_tables_have_counts_and_intervals() -> None:
    rows = by_group(cases(), GROUPS, 0.5)

    records = list(csv.DictReader(io.StringIO(as_csv(rows))))
    lines = as_markdown(rows).splitlines()

    assert [record["group"] for record in records] == ["a", "b", NOT_NAMED]
    assert float(records[1]["specificity_high"]) == pytest.approx(proportion(0, 12).high)
    assert (records[0]["auc"], records[0]["auc_low"]) == ("1.0", "")  # no interval without spread
    assert (records[2]["auc"], records[2]["specificity"]) == ("", "")
    assert len(lines) == 5
    assert "0.000 (0.000 to 0.242)" in lines[3]
    assert len({line.count("|") for line in lines}) == 1
