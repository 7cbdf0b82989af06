"""The table of settings that a running node takes up, and what follows from it."""

from __future__ import annotations

import pytest

from config.destinations import DicomDestination
from config.hot import AT_START, HOT, hot_changes, is_hot, needing_restart, with_hot
from config.reader import SECTIONS
from config.settings import Settings

PACS = DicomDestination(name="PACS", ae_title="PACS", host="pacs", port=104)


@pytest.mark.parametrize("section", SECTIONS)
def test_of_every_setting_it_is_said_when_it_is_taken_up(section: str) -> None:
    hot, at_start = HOT.get(section, frozenset()), AT_START.get(section, frozenset())
    assert hot | at_start == SECTIONS[section].model_fields.keys()
    assert not hot & at_start


def test_the_table_names_no_section_that_is_not() -> None:
    assert HOT.keys() | AT_START.keys() == SECTIONS.keys()


def settings(**sections: dict[str, object]) -> Settings:
    return Settings.model_validate(sections)


def test_hot_settings_are_taken_and_the_others_stay() -> None:
    running = settings(node={"port": 104, "calling_aes": "CT1"})
    new = settings(
        node={"port": 105, "calling_aes": "CT2"}, analysis={"threshold": "0.3"}
    ).model_copy(update={"destinations": (PACS,)})
    applied = with_hot(running, new)
    assert (applied.node.port, applied.node.calling_aes) == (104, ("CT2",))
    assert (applied.analysis.threshold, applied.destinations) == (0.3, (PACS,))
    assert needing_restart(running, new) == ("[node] port",)
    assert hot_changes(running, new) == (
        "[node] calling_aes",
        "[analysis] threshold",
        "[destination PACS]",
    )
    assert hot_changes(applied, new) == ()


def test_destinations_are_hot() -> None:
    assert is_hot("destination PACS", "port")
    assert is_hot("analysis", "threshold")
    assert not is_hot("node", "port")
