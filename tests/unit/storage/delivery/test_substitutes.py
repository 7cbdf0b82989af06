"""What stands for an object that a destination does not take."""

from __future__ import annotations

import pytest

from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.results import ResultKind
from storage.delivery.substitutes import stand_in, wholly_arrived
from storage.states import DeliveryState as D


def test_every_kind_but_the_notice_has_something_that_may_stand_for_it() -> None:
    assert set(SUBSTITUTES) == {str(kind) for kind in ResultKind} - {"notice"}
    assert {kind for others in SUBSTITUTES.values() for kind in others} <= set(SUBSTITUTES)
    assert not [kind for kind, others in SUBSTITUTES.items() if kind in others]


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
