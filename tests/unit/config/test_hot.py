"""The table of settings that a running node takes up, and what follows from it."""

from __future__ import annotations

import pytest

from config.destinations import DicomDestination, WebDestination
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


TLS = DicomDestination(name="TLS", ae_title="TLS", host="tls", port=2762, tls=True)
WEB = WebDestination(name="WEB", url="https://web/dicom")
FILES = {"certificate": "/ours.pem", "key": "/ours.key", "authorities": "/theirs.pem"}


def test_a_destination_that_needs_files_of_the_next_start_waits_for_it() -> None:
    running = settings(node={"calling_aes": "CT1"}).model_copy(update={"destinations": (PACS,)})
    by_tls = PACS.model_copy(update={"tls": True})
    new = settings(tls=FILES, node={"calling_aes": "CT2"}).model_copy(
        update={"destinations": (by_tls, TLS, WEB)}
    )
    applied = with_hot(running, new)
    assert (applied.node.calling_aes, applied.destinations) == (("CT2",), (PACS,))
    assert needing_restart(running, new)[3:] == (
        "[destination PACS]",
        "[destination TLS]",
        "[destination WEB]",
    )
    started = with_hot(new, new)
    assert (started.destinations, needing_restart(new, new)) == (new.destinations, ())
    lacking = settings().model_copy(update={"destinations": (TLS, WEB)})
    assert with_hot(running, lacking).destinations == (TLS, WEB)  # no start brings the files


def test_of_the_console_which_is_another_process_a_node_needs_nothing() -> None:
    assert needing_restart(settings(), settings(console={"port": "8080"})) == ()
