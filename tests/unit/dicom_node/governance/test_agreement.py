"""A study is compared once, however many reports name it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.governance.agreement import agreement, comparisons
from storage.results.signed_reports import ReportedSeries

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def reported(
    order: str, diagnosis: str, *, days: int = 0, series: str = "2.25.2"
) -> ReportedSeries:
    return ReportedSeries(
        order_key=order,
        reference=order,
        diagnosis=diagnosis,
        pneumonia=diagnosis,
        covid_19=diagnosis,
        reported_at=NOW + timedelta(days=days),
        received_at=NOW,
        of_other_patient=False,
        study_instance_uid="2.25.1",
        series_instance_uid=series,
        calling_ae="CT1",
        result_key=series,
        revision=1,
        model="m 1",
        score=0.7,
        positive=True,
        scanner="CT-A",
    )


@pytest.mark.parametrize(
    ("earlier", "later", "compared"),
    [
        ("positive", "positive", "positive"),
        ("unclear", "negative", "negative"),
        ("negative", "positive", "unclear"),
    ],
)
def test_two_reports_of_a_study_are_one_case(earlier: str, later: str, compared: str) -> None:
    lines = [reported("a", later, days=1), reported("b", earlier)]

    (one,) = comparisons([*lines, reported("a", later, days=1, series="2.25.3")])

    assert (one.reference, one.report) == ("a", compared)
    assert agreement(lines).lines[0].reports == 1
