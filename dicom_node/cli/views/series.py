"""Show series, and the queue of those that wait, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from dicom_node.cli.views.json_text import json_text
from storage.console.node_pages import Backlog, Waiting
from storage.console.worklist import Line
from storage.overview import Remark
from storage.states import SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedSeries:
    """A series that waits, or is worked on.

    Attributes
    ----------
    waits_seconds
        Since it came into its state.
    expected_at
        When its results are to be expected at the present pace; None if that is not known.
    """

    series_instance_uid: str
    calling_ae: str
    state: SeriesState
    instances: int
    attempts: int
    urgent: bool
    waits_seconds: float
    expected_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedDeliveries:
    """What a destination has still to get; `oldest_seconds` is None if that is nothing."""

    destination: str
    states: Mapping[str, int]
    oldest_seconds: float | None
    paused: bool
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Everything that waits.

    Attributes
    ----------
    seconds_each
        Time from one result to the next at present; None if nothing was analysed of late.
    """

    seconds_each: float | None
    series: tuple[QueuedSeries, ...]
    deliveries: tuple[QueuedDeliveries, ...]

    @staticmethod
    def of(
        waiting: Sequence[Waiting],
        backlogs: Mapping[str, Backlog],
        paused: frozenset[str],
        *,
        pace: float | None,
        now: datetime,
    ) -> Queue:
        """Reckon with the pace, in the order of their turns, how long each has still to wait.

        Series that are still received get no time: nobody knows when they are complete.
        """
        lines, place = list[QueuedSeries](), 0
        for one in waiting:
            is_due = one.state in (SeriesState.ANALYSING, SeriesState.STABLE)
            place += is_due
            known = is_due and pace is not None
            at = now + timedelta(seconds=place * (pace or 0.0)) if known else None
            lines.append(
                QueuedSeries(
                    series_instance_uid=one.series_instance_uid,
                    calling_ae=one.calling_ae,
                    state=one.state,
                    instances=one.instances,
                    attempts=one.attempts,
                    urgent=one.urgent,
                    waits_seconds=(now - one.since).total_seconds(),
                    expected_at=max(at, one.not_before) if at and one.not_before else at,
                )
            )
        deliveries = tuple(
            QueuedDeliveries(
                destination=name,
                states={str(state): count for state, count in one.states.items()},
                oldest_seconds=(now - one.oldest).total_seconds() if one.oldest else None,
                paused=name in paused,
                fault=one.fault,
            )
            for name, one in backlogs.items()
        )
        return Queue(seconds_each=pace, series=tuple(lines), deliveries=deliveries)


def as_json(lines: Iterable[tuple[Line, Sequence[Remark]]]) -> str:
    """Series, and why deliveries of theirs are tried again, as JSON."""
    names = [one.name for one in fields(Line)]
    return json_text(
        [
            {**{name: getattr(line, name) for name in names}, "remarks": remarks}
            for line, remarks in lines
        ]
    )


def words(line: Line, remarks: Sequence[Remark]) -> str:
    """Say a series in two lines, its reason, and why deliveries of it are tried again."""
    score = f"  score {line.score:.3f}" if line.score is not None else ""
    sent = "; ".join(
        f"{name}: {', '.join(f'{count} {state}' for state, count in states.items())}"
        for name, states in line.destinations.items()
    )
    first = (
        f"{_at(line.since)}  {line.state:<10}  {line.instances} {line.modality} instances from"
        f" {line.calling_ae}, received {_at(line.last_at)}{score}{f'  {sent}' if sent else ''}"
    )
    texts = [first, f"    {line.series_instance_uid}"]
    texts += [f"    {line.reason}"] if line.reason else []
    texts += [f"    {one.destination}: {one.count} {one.state}: {one.reason}" for one in remarks]
    return "\n".join("".join(c if c.isprintable() else "?" for c in text) for text in texts)


def queue_as_json(queue: Queue) -> str:
    """Queue as JSON."""
    return json_text(queue)


def queue_words(queue: Queue) -> Iterator[str]:
    """Say the queue line by line."""
    pace_seconds = queue.seconds_each
    pace = (
        "nothing was analysed of late"
        if pace_seconds is None
        else f"one result in {age(pace_seconds)}"
    )
    yield f"{len(queue.series)} series wait or are worked on; {pace}"
    for one in queue.series:
        marks = ["urgent"] if one.urgent else []
        marks += [f"attempt {one.attempts}"] if one.attempts > 1 else []
        if one.expected_at is not None:
            marks.append(f"expected {one.expected_at.astimezone():%H:%M:%S}")
        yield (
            f"  {one.state:<10} {age(one.waits_seconds):>8}  {one.instances} instances from"
            f" {one.calling_ae}  {one.series_instance_uid}{''.join(f', {m}' for m in marks)}"
        )
    for to in queue.deliveries:
        waits = ", ".join(f"{count} {state}" for state, count in to.states.items())
        oldest = f", the oldest for {age(to.oldest_seconds)}" if to.oldest_seconds else ""
        paused = "; paused" if to.paused else ""
        fault = f"; {to.fault}" if to.fault else ""
        yield f"{to.destination}: {waits or 'nothing waits'}{oldest}{paused}{fault}"


def age(seconds: float) -> str:
    """Say a time in the two largest of its units, such as ``3 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min {whole % 60} s"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{days} d {hours % 24} h"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
