"""State what there is to tell, as lines without patient data.

A result is named by its reference, which means nothing outside the node; UIDs, which may hold the
time of an examination, are taken out of reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom_node.health import PartFault
from dicom_node.notify.recipients import Subject
from storage.results.to_tell import FailedSeries, PositiveResult
from storage.standing import Standing
from storage.states import SeriesState

UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")  #: five components or more: an address has four
MOST_REASON = 300  #: characters of a reason

WAITING_FOR = {
    SeriesState.RECEIVING: "for its other images",
    SeriesState.STABLE: "for its analysis",
    SeriesState.ANALYSING: "for the end of its analysis",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Something to tell.

    Attributes
    ----------
    key
        Equal for the same matter at another time.
    lasting
        Whether it comes to an end, which is told as well; else it is an event.
    """

    subject: Subject
    key: str
    text: str
    lasting: bool


def of_faults(faults: Iterable[PartFault]) -> Iterator[Matter]:
    """State parts that are out of order."""
    for fault in faults:
        refused = "" if fault.receiving else "; no images are taken"
        text = f"{fault.part} since {_time(fault.since)}: {_plain(fault.reason)}{refused}"
        yield Matter(
            subject=Subject.FAULTS, key=f"fault {fault.part}", text=_plain(text), lasting=True
        )


def of_backlog(now: datetime, standing: Standing, longest: timedelta) -> Iterator[Matter]:
    """State what has waited for longer than it should."""
    for state, since in sorted(standing.waiting_since.items()):
        if now - since >= longest:
            waits = f"a series waits {WAITING_FOR[state]} since {_time(since)}"
            text = f"{waits}, {standing.series.get(state, 1)} in all"
            yield Matter(subject=Subject.BACKLOG, key=f"backlog {state}", text=text, lasting=True)
    for destination, since in sorted(standing.undelivered_since.items()):
        if now - since >= longest:
            paused = " (paused)" if destination in standing.paused else ""
            yield Matter(
                subject=Subject.BACKLOG,
                key=f"backlog of {destination}",
                text=f"results wait for {destination}{paused} since {_time(since)}",
                lasting=True,
            )


def of_failures(failed: Iterable[FailedSeries]) -> Iterator[Matter]:
    """State series that have failed."""
    for series in failed:
        named = f" (result {series.reference})" if series.reference else ""
        yield Matter(
            subject=Subject.FAILURES,
            key=f"failure {series.key}",
            text=f"a series failed at {_time(series.at)}{named}: {_plain(series.reason)}",
            lasting=False,
        )


def of_positives(positives: Iterable[PositiveResult]) -> Iterator[Matter]:
    """State results with a score above the threshold."""
    for result in positives:
        yield Matter(
            subject=Subject.POSITIVES,
            key=f"positive {result.reference}",
            text=f"score above the threshold at {_time(result.at)}, not a diagnosis:"
            f" result {result.reference}",
            lasting=False,
        )


def _plain(text: str) -> str:
    """Put text on one line, without UIDs, and not endless."""
    return " ".join(UID.sub("(UID)", text).split())[:MOST_REASON]


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
