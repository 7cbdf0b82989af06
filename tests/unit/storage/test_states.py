"""The transition tables of states are complete, and leave no state without an exit."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from storage.states import DELIVERY_STEPS, SERIES_STEPS, UNDER_WAY, DeliveryState, SeriesState

TABLES = [SERIES_STEPS, DELIVERY_STEPS]


def reachable(steps: Mapping[StrEnum, frozenset[StrEnum]], start: StrEnum) -> set[StrEnum]:
    found, edge = {start}, {start}
    while edge:
        edge = {new for old in edge for new in steps[old]} - found
        found |= edge
    return found


@pytest.mark.parametrize("steps", TABLES)
def test_every_state_has_its_row_and_no_step_leads_to_itself(
    steps: Mapping[StrEnum, frozenset[StrEnum]],
) -> None:
    kinds = {type(state) for state in steps}
    assert set(steps) == set(next(iter(kinds)))
    assert not [state for state in steps if state in steps[state]]


def test_every_state_is_reached_from_the_first() -> None:
    assert reachable(SERIES_STEPS, SeriesState.RECEIVING) == set(SeriesState)
    assert reachable(DELIVERY_STEPS, DeliveryState.PENDING) == set(DeliveryState)


@pytest.mark.parametrize("state", sorted(set(SeriesState) - {SeriesState.RECEIVING}))
def test_a_late_instance_can_open_a_series_in_any_state(state: SeriesState) -> None:
    assert SeriesState.RECEIVING in SERIES_STEPS[state]


def test_results_are_kept_from_an_analysis_or_sent_again_after_an_end() -> None:
    before = {old for old, new in SERIES_STEPS.items() if SeriesState.ENCODED in new}
    assert before == {SeriesState.ANALYSING, SeriesState.FAILED, SeriesState.DELIVERED}


def test_what_a_destination_has_committed_to_is_never_sent_again() -> None:
    assert not reachable(DELIVERY_STEPS, DeliveryState.COMMITTED) & UNDER_WAY


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="item assignment"):
        SERIES_STEPS[SeriesState.FAILED] = frozenset()  # type: ignore[index]  # read-only: that is the test
