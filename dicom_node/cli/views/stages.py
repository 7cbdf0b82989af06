"""Show the stages of the way of a series: what is busy, what waits, and which holds up the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.cli.views.json_text import json_text
from dicom_node.cli.views.series import age
from dicom_node.health import WorkerLoad
from storage.console.node_pages import Backlog, Waiting
from storage.states import DeliveryState, SeriesState

PAUSED = "paused"  #: note of a destination that somebody has paused
HELD_UP_SECONDS = 60.0  #: what waits for less is not held up
RECEPTION, ANALYSIS = "reception", "analysis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of the way.

    Attributes
    ----------
    unit
        Of the numbers: series, or objects of results.
    busy, waiting
        Numbers.
    oldest_seconds
        How long what waits there has waited at most; None if nothing does.
    slots
        How many at most are worked on at once; None if that is not limited.
    note
        Why nothing goes on, if that is known.
    """

    name: str
    unit: str
    busy: int
    waiting: int
    oldest_seconds: float | None
    slots: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """All stages, the workers, and the name of the stage that holds up most; empty if none does."""

    stages: tuple[Stage, ...]
    workers: tuple[WorkerLoad, ...]
    bottleneck: str


def stages_of(
    waiting: Sequence[Waiting],
    backlogs: Mapping[str, Backlog],
    paused: frozenset[str],
    workers: Sequence[WorkerLoad],
    now: datetime,
) -> Stages:
    """Sum up what waits and what is worked on, stage by stage."""
    by_state: dict[SeriesState, list[Waiting]] = {}
    for one in waiting:
        by_state.setdefault(one.state, []).append(one)
    receiving, stable = (
        by_state.get(SeriesState.RECEIVING, []),
        by_state.get(SeriesState.STABLE, []),
    )
    reception = Stage(
        name=RECEPTION,
        unit="series",
        busy=len(receiving),
        waiting=0,
        oldest_seconds=None,
        note="complete when a proof comes, or the quiet time is over" if receiving else "",
    )
    analysis = Stage(
        name=ANALYSIS,
        unit="series",
        busy=len(by_state.get(SeriesState.ANALYSING, [])),
        waiting=len(stable),
        oldest_seconds=_oldest([one.since for one in stable], now),
        slots=len(workers),
        note="" if workers else "no worker is there",
    )
    deliveries = tuple(
        Stage(
            name=f"delivery to {name}",
            unit="objects",
            busy=one.states.get(DeliveryState.SENDING, 0),
            waiting=one.states.get(DeliveryState.PENDING, 0)
            + one.states.get(DeliveryState.UNCOMMITTED, 0),
            oldest_seconds=_oldest([one.oldest] if one.oldest else [], now),
            note=PAUSED if name in paused else one.fault,
        )
        for name, one in backlogs.items()
    )
    stages = (reception, analysis, *deliveries)
    return Stages(stages=stages, workers=tuple(workers), bottleneck=bottleneck(stages))


def bottleneck(stages: Sequence[Stage]) -> str:
    """Name the stage where something has waited longest, and too long; empty if there is none.

    What somebody has paused holds nothing up.
    """
    held_up = [
        stage
        for stage in stages
        if (stage.oldest_seconds or 0.0) > HELD_UP_SECONDS and stage.note != PAUSED
    ]
    longest = max(held_up, key=lambda stage: stage.oldest_seconds or 0.0, default=None)
    return longest.name if longest else ""


def as_json(found: Stages) -> str:
    """Stages as JSON."""
    return json_text(found)


def words(found: Stages, now: datetime) -> Iterator[str]:
    """Say the stages line by line."""
    for stage in found.stages:
        slots = "" if stage.slots is None else f" of {stage.slots}"
        oldest = f", the oldest for {age(stage.oldest_seconds)}" if stage.oldest_seconds else ""
        note = f"; {stage.note}" if stage.note else ""
        yield (
            f"{stage.name}: {stage.busy}{slots} busy, {stage.waiting} {stage.unit} waiting"
            f"{oldest}{note}"
        )
    for load in found.workers:
        does = (
            f"{load.series_instance_uid} for {age((now - load.since).total_seconds())}"
            if load.since
            else "free"
        )
        yield f"  worker {load.worker}: {does}"
    yield f"held up by: {found.bottleneck or 'nothing, all goes through within a minute'}"


def _oldest(moments: Sequence[datetime], now: datetime) -> float | None:
    return (now - min(moments)).total_seconds() if moments else None
