"""The command `drain`: have the node take nothing further, and wait until all it has is done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, err
from dicom_node.cli.settings import os_user
from dicom_node.cli.views.json_text import print_outcome
from dicom_node.errors import NodeError, UsageError
from dicom_node.health import read_condition

if TYPE_CHECKING:
    from config.settings import Settings
    from storage.database.sessions import Session

LOOK_SECONDS = 1.0  #: between two looks at what is left
SETTLED_LOOKS = 2  #: looks that find nothing: the row of the last instance may be a moment late

app = typer.Typer()


@app.command()
def drain(
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when all that the node has is done.")
    ] = False,
    end: Annotated[bool, typer.Option("--end", help="Take instances again.")] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Have the running node take no instances until it is started again, and finish its work.

    Senders hear A700 and `ready` says no, so that a load balancer turns to another node. A receiver
    that shares its folder with others ([node] receiver) leaves its work to them.
    """
    from dicom_node.folder_lock import is_running
    from dicom_node.reception.draining import end_drain, request_drain

    if wait and end:
        raise UsageError("expected --wait or --end, got both")
    settings = load(config)
    folder, receiver = settings.storage.folder, settings.node.receiver
    if end:
        ended = end_drain(folder, receiver)
        words = "the node takes instances again" if ended else "nothing to do: it is not drained"
        print_outcome({"draining": False, "changed": ended}, words, as_json=as_json)
        return
    if not is_running(folder, receiver):
        raise NodeError("the node is not running: there is nothing to drain")
    request_drain(folder, f"{os_user()} (command line)", datetime.now(UTC), receiver)
    begun = "the node takes nothing further, until it is started again or drain --end"
    if not wait:
        print_outcome({"draining": True}, begun, as_json=as_json)
        return
    if not as_json:
        typer.echo(begun)
    left = Left()
    for left in _looks(settings):
        if not is_running(folder, receiver):
            raise NodeError(f"the node has ended meanwhile; left: {left.words}")
        err.print(left.words, highlight=False, markup=False)
        time.sleep(LOOK_SECONDS)
    stays = [f"{one.objects} objects for {one.destination}: {one.why}" for one in left.stays]
    print_outcome(
        {"draining": True, "done": True, "stays": left.stays},
        f"all {'else ' if stays else ''}is done: the node may be stopped",
        *(f"stays until it can be sent: {one}" for one in stays),
        as_json=as_json,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """What a destination does not get for a reason that is none of the moment."""

    destination: str
    objects: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a node has still to do.

    Attributes
    ----------
    objects
        Numbers of them, by the destination that gets them.
    stays
        What nobody gets for now: it is not waited for.
    """

    series: int = 0
    objects: Mapping[str, int] = field(default_factory=dict)
    stays: Sequence[Staying] = ()

    @property
    def words(self) -> str:
        """Say it in a line."""
        waits = [f"{count} objects for {name}" for name, count in self.objects.items() if count]
        return ", ".join([f"{self.series} series", *waits])


def left_of(session: Session, settings: Settings) -> Left:
    """Look what is left of series, and of deliveries to whatever destination."""
    from dicom_node.cli.views.stages import unserved
    from storage.console.node_pages import backlog, held_deliveries, queue, waited_for
    from storage.delivery.pauses import pauses
    from storage.states import UNDER_WAY

    paused = pauses(session)
    enabled = {one.name: one.enabled for one in settings.destinations}
    names = sorted({*enabled, *waited_for(session)})
    backlogs = {name: backlog(session, name) for name in names}
    held = {name: held_deliveries(session, name) for name in names}
    known = unserved(
        backlogs, enabled, {name: paused[name] for name in names if name in paused}, held
    )
    objects = {
        name: sum(count for state, count in one.states.items() if state in UNDER_WAY)
        for name, one in backlogs.items()
    }
    return Left(
        series=len(queue(session, None)),
        objects={name: count for name, count in objects.items() if name not in known},
        stays=[
            Staying(destination=name, objects=objects[name], why=why)
            for name, why in known.items()
            if objects[name]
        ],
    )


def _looks(settings: Settings) -> Iterator[Left]:
    """Look what is left, each time that it is asked for; ends when nothing is that can be done.

    A receiver that shares its folder leaves to the others what is to be analysed and sent.
    """
    from dicom_node.assembly.resources import existing_resources

    with closing(existing_resources(settings)) as resources:
        empty = 0
        while empty <= SETTLED_LOOKS:
            with resources.sessions.reading() as session:
                left = left_of(session, settings)
            is_left = not settings.node.receiver and bool(left.series or any(left.objects.values()))
            empty = 0 if is_left or not _is_drained(settings) else empty + 1
            if empty <= SETTLED_LOOKS:
                yield left


def _is_drained(settings: Settings) -> bool:
    """Say whether the node has taken notice."""
    condition = read_condition(settings.storage.folder, settings.node.receiver)
    return condition is not None and not condition.receiving
