"""Odd input of every kind: acknowledged instances are kept, the reason names the fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.worker import models
from dicom_node.network.status_codes import SUCCESS
from storage.overview import overview
from tests.reliability.odd.node import Message, ends, lost, message, send
from tests.reliability.odd.series import ODDITIES, Odd, series
from tests.reliability.receiving import running
from tests.reliability.tally import Tally
from tests.support.reception import Reception

__all__ = ["running"]  # a fixture
MEMORY_BYTES = 200 << 20  #: more than this no oddity may take
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # pydicom warns of what is odd here
]


@pytest.fixture(scope="module")
def seen(tally: Tally) -> Iterator[Counter[str]]:
    """What became of the oddities that were tried, for the table."""
    models.load_models(analysis_config_of(Settings()))  # its memory is not that of an oddity
    came: Counter[str] = Counter()
    yield came
    if came.total() == len(ODDITIES):
        tally.note(
            "input in every odd shape ends in a state that says why, and nothing is lost",
            f"{came.total()} kinds of odd series over an association",
            ", ".join(f"{count} {end}" for end, count in sorted(came.items()))
            + "; 0 acknowledged instances lost, the node served the next sender each time",
        )


@pytest.mark.parametrize("odd", ODDITIES, ids=[odd.name for odd in ODDITIES])
def test_an_odd_series(running: Reception, seen: Counter[str], odd: Odd) -> None:
    messages = odd.messages()
    memory = psutil.Process().memory_info().rss

    statuses = send(running, messages, odd.syntax)

    assert set(statuses) == odd.answers
    assert lost(running, messages, statuses) == []
    assert [reason for reason in quarantined(running) if odd.reason not in reason] == []
    assert len(quarantined(running)) == (0 if odd.ends else len(messages))
    came = list(ends(running).values())
    assert [end[: len(odd.ends or "")] for end in came] == ([odd.ends] if odd.ends else [])
    assert psutil.Process().memory_info().rss - memory < MEMORY_BYTES
    assert send(running, [a_good_one()]) == [SUCCESS]
    seen[came[0].split(":")[0].replace("encoded", "analysed") if came else "quarantined"] += 1


def a_good_one() -> Message:
    return message(series()[0])


def quarantined(running: Reception) -> list[str]:
    running.index.wait_until_written()
    with running.resources.sessions() as session:
        return [line.reason for line in overview(session).quarantine]
