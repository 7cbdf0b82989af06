"""The command `drain`: have the node take nothing further, and wait until all it has is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
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
    for words in _left(settings):
        if not is_running(folder, receiver):
            raise NodeError(f"the node has ended meanwhile; left: {words}")
        err.print(words, highlight=False, markup=False)
        time.sleep(LOOK_SECONDS)
    print_outcome(
        {"draining": True, "done": True}, "all is done: the node may be stopped", as_json=as_json
    )


def _left(settings: Settings) -> Iterator[str]:
    """Say what is left, each time that it is asked for; ends when nothing is.

    A receiver that shares its folder leaves to the others what is to be analysed and sent.
    """
    from dicom_node.assembly.resources import existing_resources
    from storage.console.node_pages import backlog, queue
    from storage.delivery.pauses import is_paused
    from storage.states import UNDER_WAY

    with closing(existing_resources(settings)) as resources:
        empty = 0
        while True:
            with resources.sessions.reading() as session:
                series = len(queue(session, None))
                objects = {
                    one.name: sum(
                        count
                        for state, count in backlog(session, one.name).states.items()
                        if state in UNDER_WAY
                    )
                    for one in settings.destinations
                    if one.enabled and not is_paused(session, one.name)
                }
            is_left = not settings.node.receiver and bool(series or any(objects.values()))
            if is_left or not _is_drained(settings):
                empty = 0
            elif (empty := empty + 1) > SETTLED_LOOKS:
                return
            waits = [f"{count} objects for {name}" for name, count in objects.items() if count]
            yield ", ".join([f"{series} series", *waits])


def _is_drained(settings: Settings) -> bool:
    """Say whether the node has taken notice."""
    condition = read_condition(settings.storage.folder, settings.node.receiver)
    return condition is not None and not condition.receiving
