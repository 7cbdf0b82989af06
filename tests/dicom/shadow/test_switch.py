"""The switch of a running node: series wait or end with a notice, and no result leaves."""

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from storage.overview import overview
from tests.dicom.settings.test_hot_settings import Running, running  # noqa: F401  # a fixture


def states(node: Running) -> list[str]:
    with node.node.processing.resources.sessions.reading() as session:
        return sorted(str(line.state) for line in overview(session).series)


def fault(node: Running) -> str:
    faults = node.node.resources.health.snapshot()
    return "".join(one.reason for one in faults if one.part == "model")


def switch(node: Running, before: str, after: str) -> None:
    node.command(f"[analysis]\nswitch = {before}\n", f"[analysis]\nswitch = {after}\n")


@pytest.fixture
def held(running: Running) -> Running:  # noqa: F811  # the fixture
    """A node that holds what there is."""
    running.command("[log]", "[analysis]\nswitch = hold\n[log]")
    running.wait(lambda: bool(fault(running)), "the hold told")
    return running


def test_on_hold_series_wait_and_go_on_where_it_is_on_again(
    held: Running, pacs: StandInPacs
) -> None:
    held.send()
    held.wait(lambda: states(held) == ["stable"], "the series closed")
    assert fault(held) == "held by [analysis] switch: series wait, and no result leaves"
    assert held.engine.requests == []

    switch(held, "hold", "on")

    held.wait(lambda: len(pacs.received) == 2, "the results")
    assert fault(held) == ""


def test_switched_off_series_end_with_a_notice_that_leaves(
    held: Running, pacs: StandInPacs
) -> None:
    switch(held, "hold", "off")
    held.wait(lambda: fault(held).startswith("switched off"), "that it is off told")

    held.send()

    held.wait(lambda: len(pacs.received) == 1, "the notice")
    with held.node.processing.resources.sessions.reading() as session:
        (line,) = overview(session).series
    assert line.state == "unsuitable"
    assert line.reason == "switched-off: The analysis is switched off at this site."
    assert held.engine.requests == []
