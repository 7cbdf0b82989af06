"""Choice of the substitute for an object that a destination declines."""

from __future__ import annotations

import pytest

from pipeline.encode.result.kinds import SUBSTITUTES
from storage.delivery.substitutes import stand_in, wholly_arrived
from storage.states import DeliveryState as D


@pytest.mark.parametrize(
    ("kind", "arrived", "expected"),
    [
        ("report", {"text-report", "summary"}, "text-report"),
        ("report", {"summary", "segmentation"}, "summary"),
        ("report", {"segmentation", "heatmap"}, None),  # pictures say no score
        ("text-report", {"report"}, "report"),
        ("segmentation", {"heatmap", "summary"}, "heatmap"),
        ("heatmap", {"segmentation"}, "segmentation"),
        ("summary", {"report", "text-report"}, "text-report"),
        ("key-images", {"report"}, "report"),
        ("notice", {"report"}, None),
        ("report", set(), None),
    ],
)
def test_the_best_that_arrived_stands_for_it(
    kind: str, arrived: set[str], expected: str | None
) -> None:
    assert stand_in(SUBSTITUTES, kind, arrived) == expected


def test_a_series_of_pictures_has_arrived_when_all_of_it_has() -> None:
    states = [("heatmap", D.ACCEPTED), ("heatmap", D.REFUSED), ("report", D.COMMITTED)]
    assert wholly_arrived(states) == {"report"}
