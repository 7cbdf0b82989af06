"""A result that a newer one has overtaken at a destination is not sent after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from dicom_node.resources import Resources
from storage.database.schema import Delivery, Series
from storage.delivery.outbox import DueDelivery, claim, due
from storage.delivery.overtaken import end_overtaken
from storage.states import DeliveryState
from tests.support.results_due import START, Hands
from tests.support.samples.kept_reports import keep_later_report, store_with_report

pytestmark = pytest.mark.database

D = DeliveryState


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """Hold three results of one series, due at RIS."""
    found = store_with_report(tmp_path / "data", Hands(), "RIS")
    for key in ("k2", "k3"):
        keep_later_report(found, "RIS", key)
    yield found
    found.close()


def sent(resources: Resources, *, stands: str = "k3", **states: DeliveryState) -> list[str]:
    """Set the states of deliveries by result, and the result that stands; list what is sent."""
    with resources.sessions.begin() as session:
        session.execute(update(Series).values(result_key=stands))
        by_key = {one.result_key: one for one in due(session, "RIS", START, 9)}
        for key, state in states.items():
            changed = update(Delivery).where(Delivery.id == by_key[key].id)
            session.execute(changed.values(state=state))
        claimed: list[DueDelivery] = claim(session, due(session, "RIS", START, 9))
        return [one.result_key for one in end_overtaken(session, claimed, START)]


def test_what_waits_goes_in_order_while_nothing_newer_has_arrived(resources: Resources) -> None:
    assert sent(resources, k3=D.REFUSED) == ["k1", "k2"]


def test_an_older_one_is_not_sent_after_a_newer_one(resources: Resources) -> None:
    assert sent(resources, k2=D.ACCEPTED) == ["k3"]


def test_the_result_that_stands_is_sent_though_a_later_one_was_there(resources: Resources) -> None:
    assert sent(resources, stands="k1", k2=D.ACCEPTED) == ["k1", "k3"]


def test_nothing_follows_the_result_that_stands(resources: Resources) -> None:
    assert sent(resources, stands="k1", k1=D.ACCEPTED) == []
