"""Show the stages of the way of a series: what is busy, what waits, and which holds up the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.analysis.oversight.permission import Permission
from dicom_node.cli.views.json_text import json_text
from dicom_node.cli.views.series import age
from dicom_node.health import Condition, WorkerLoad
from dicom_node.maintenance.consistency import AWAY
from storage.console.node_pages import Backlog, Waiting
from storage.delivery.pauses import Pause
from storage.states import DeliveryState, SeriesState

HELD_UP_SECONDS = 60.0
"""What waits for less is not held up, unless it is known that nothing goes on."""
RECEPTION, ANALYSIS, CHANGED = "reception", "analysis", "changed scanners"
NOT_ACCEPTED = "nobody has accepted that their scanner has changed: see dicom-node drift"


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
    stopped
        Whether nothing goes on until that is ended.
    """

    name: str
    unit: str
    busy: int
    waiting: int
    oldest_seconds: float | None
    slots: int | None = None
    note: str = ""
    stopped: bool = False

    @property
    def is_held_up(self) -> bool:
        """Whether something waits here too long; of what senders keep nobody knows how much."""
        if self.stopped:
            return self.waiting > 0 or self.name == RECEPTION
        return (self.oldest_seconds or 0.0) > HELD_UP_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldUp:
    """Something that holds up stages; its reason is empty if nobody knows more than the stage."""

    reason: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """All stages, the workers, and what holds up.

    Attributes
    ----------
    bottleneck
        Name of the stage that is held up most; empty if none is.
    held_up_by
        All that holds up a stage, the worst first.
    """

    stages: tuple[Stage, ...]
    workers: tuple[WorkerLoad, ...]
    bottleneck: str
    held_up_by: tuple[HoldUp, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """Why nothing is received, analysed, delivered at all, or to a destination; empty if it is."""

    reception: str = ""
    analysis: str = ""
    delivery: str = ""
    destinations: Mapping[str, str]


def stops_of(
    condition: Condition | None,
    silence: str,
    permission: Permission,
    destinations: Mapping[str, str],
) -> Stops:
    """Tell what keeps stages from going on.

    Parameters
    ----------
    silence
        Why nobody knows the condition of the node; empty if it is known.
    permission
        What may be done today.
    destinations
        Why some get nothing.
    """
    if condition is None or silence:
        return Stops(
            reception=silence, analysis=silence, delivery=silence, destinations=destinations
        )
    away = next((fault.reason for fault in condition.faults if fault.part == AWAY), "")
    refusing = [f"{one.part}: {one.reason}" for one in condition.faults if not one.receiving]
    waits = not (permission.analyses or permission.ends)
    return Stops(
        reception="; ".join(refusing),
        analysis=away or (permission.fault if waits else "") or _missing_worker(condition),
        delivery=away or ("" if permission.delivers else permission.fault),
        destinations=destinations,
    )


def unserved(
    backlogs: Mapping[str, Backlog],
    enabled: Mapping[str, bool],
    paused: Mapping[str, Pause],
    held: Mapping[str, int],
) -> dict[str, str]:
    """Say why some destinations get nothing.

    Parameters
    ----------
    enabled
        Those of the settings; empty if these cannot be read.
    held
        Numbers of objects that wait for somebody to accept that a scanner has changed.
    """
    reasons = {}
    for name, backlog in backlogs.items():
        if name in paused:
            one = paused[name]
            reasons[name] = f"paused since {one.at.astimezone():%Y-%m-%d %H:%M} by {one.by}"
        elif enabled and name not in enabled:
            reasons[name] = "not in the settings"
        elif not enabled.get(name, True):
            reasons[name] = "switched off"
        elif held.get(name, 0) == _waiting(backlog) > 0:
            reasons[name] = NOT_ACCEPTED
    return reasons


def _waiting(backlog: Backlog) -> int:
    waiting = (DeliveryState.PENDING, DeliveryState.UNCOMMITTED)
    return sum(backlog.states.get(state, 0) for state in waiting)


def _missing_worker(condition: Condition) -> str:
    """Say why no worker may take a series; empty if one may, or works."""
    if condition.workers:
        return ""
    faults = {one.part: one.reason for one in condition.faults}
    unfit = [f"{part}: {reason}" for part, reason in faults.items() if part.startswith("worker ")]
    return "; ".join(unfit) or faults.get("engine", "no worker is there")


def stages_of(
    waiting: Sequence[Waiting],
    backlogs: Mapping[str, Backlog],
    stops: Stops,
    workers: Sequence[WorkerLoad],
    now: datetime,
) -> Stages:
    """Sum up what waits and what is worked on, stage by stage."""
    by_state: dict[SeriesState, list[Waiting]] = {}
    for one in waiting:
        by_state.setdefault(one.state, []).append(one)
    receiving = by_state.get(SeriesState.RECEIVING, [])
    closing = "complete when a proof comes, or the quiet time is over" if receiving else ""
    reception = Stage(
        name=RECEPTION,
        unit="series",
        busy=len(receiving),
        waiting=0,
        oldest_seconds=None,
        note=stops.reception or closing,
        stopped=bool(stops.reception),
    )
    stages = (
        reception,
        *_analysis(by_state, stops.analysis, len(workers), now),
        *(
            _delivery(name, one, stops.delivery or stops.destinations.get(name, ""), now)
            for name, one in backlogs.items()
        ),
    )
    paused = [f"delivery to {name}" for name in stops.destinations]
    held_up = held_up_by(stages, paused)
    return Stages(
        stages=stages,
        workers=tuple(workers),
        bottleneck=held_up[0].stages[0] if held_up else "",
        held_up_by=held_up,
    )


def _analysis(
    by_state: Mapping[SeriesState, Sequence[Waiting]], stop: str, slots: int, now: datetime
) -> Iterator[Stage]:
    """Sum up the analysis; what waits for a person, and for no worker, by itself."""
    stable = by_state.get(SeriesState.STABLE, [])
    held = [one for one in stable if one.held]
    free = [one for one in stable if not one.held]
    later = [one.not_before for one in free if one.not_before and one.not_before > now]
    again = f"what failed is tried again at {min(later).astimezone():%H:%M:%S}" if later else ""
    yield Stage(
        name=ANALYSIS,
        unit="series",
        busy=len(by_state.get(SeriesState.ANALYSING, [])),
        waiting=len(free),
        oldest_seconds=_oldest([one.since for one in free], now),
        slots=slots,
        note=stop or (again if len(later) == len(free) else ""),
        stopped=bool(stop),
    )
    if held:
        yield Stage(
            name=CHANGED,
            unit="series",
            busy=0,
            waiting=len(held),
            oldest_seconds=_oldest([one.since for one in held], now),
            note=NOT_ACCEPTED,
            stopped=True,
        )


def _delivery(name: str, backlog: Backlog, stop: str, now: datetime) -> Stage:
    return Stage(
        name=f"delivery to {name}",
        unit="objects",
        busy=backlog.states.get(DeliveryState.SENDING, 0),
        waiting=_waiting(backlog),
        oldest_seconds=_oldest([backlog.oldest] if backlog.oldest else [], now),
        note=stop or backlog.fault,
        stopped=bool(stop),
    )


def held_up_by(stages: Iterable[Stage], on_purpose: Sequence[str] = ()) -> tuple[HoldUp, ...]:
    """List what holds up stages: first what does not end by itself, then what has waited longest.

    Parameters
    ----------
    on_purpose
        Stages that somebody has stopped: they come last.
    """
    held_up = sorted(
        (stage for stage in stages if stage.is_held_up),
        key=lambda stage: (
            stage.name in on_purpose,
            not stage.stopped,
            -(stage.oldest_seconds or 0.0),
        ),
    )
    by_reason: dict[str, list[str]] = {}
    for stage in held_up:
        by_reason.setdefault(stage.note, []).append(stage.name)
    return tuple(HoldUp(reason=reason, stages=tuple(names)) for reason, names in by_reason.items())


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
    reasons = [
        f"{one.reason} ({', '.join(one.stages)})" if one.reason else ", ".join(one.stages)
        for one in found.held_up_by
    ]
    yield f"held up by: {'; '.join(reasons) or 'nothing, all goes through within a minute'}"


def _oldest(moments: Sequence[datetime], now: datetime) -> float | None:
    return (now - min(moments)).total_seconds() if moments else None
