"""Settings are taken up by all parts, or by none, and by none of a node that stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.node.taking_up import TakingUp

SETTINGS = Settings()


class Part:
    """Remembers what it took up."""

    def __init__(self, meanwhile: Callable[[], None] = bool) -> None:
        self.taken: list[Settings] = []
        self.meanwhile: Callable[[], object] = meanwhile

    def prepared(self, settings: Settings) -> Callable[[], None]:
        self.meanwhile()
        return lambda: self.taken.append(settings)


def test_all_parts_take_settings_up_or_none() -> None:
    def away() -> None:
        raise NodeError("the storage folder is away")

    first, last = Part(), Part()
    TakingUp(SETTINGS, first.prepared, last.prepared).take_up(SETTINGS)
    assert first.taken == last.taken == [SETTINGS]
    last.meanwhile = away
    with pytest.raises(NodeError):
        TakingUp(SETTINGS, first.prepared, last.prepared).take_up(SETTINGS)
    assert first.taken == last.taken == [SETTINGS]


def test_a_look_that_is_under_way_when_the_node_stops_starts_nothing_again() -> None:
    first, last = Part(), Part()
    taking_up = TakingUp(SETTINGS, first.prepared, last.prepared)
    last.meanwhile = taking_up.end
    taking_up.take_up(SETTINGS)
    assert first.taken == last.taken == []


def test_a_part_that_comes_later_has_the_settings_of_now_whenever_they_change() -> None:
    first, last = Part(), Part()
    taking_up = TakingUp(SETTINGS, first.prepared)
    new, newer = Settings(), Settings()
    made: list[Settings] = []

    def make(settings: Settings) -> Callable[[Settings], Callable[[], None]]:
        made.append(settings)
        taking_up.take_up(newer)  # while it is made
        return last.prepared

    taking_up.take_up(new)
    taking_up.extend(make)
    assert made[0] is new
    assert last.taken[-1] is newer
    assert first.taken[-1] is newer
