"""The commands `reissue`, `reprocess` and `redeliver`: make results again, or send them again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import DAY, INI, AsJson, Ini, bar, day_of, destinations_of, err
from dicom_node.cli.settings import os_user
from dicom_node.cli.views.json_text import print_outcome
from dicom_node.errors import UsageError

if TYPE_CHECKING:
    from dicom_node.analysis.rerun import RerunOutcome
    from dicom_node.assembly.rerun_requests import AnewSoFar
    from storage.delivery.redelivery import Redelivery

TAKEN_UP = "The node takes it up within seconds if it runs, else at its start."

LOOK_SECONDS = 1.0  #: between two looks whether it has been sent
SENDING_SECONDS = 300.0  #: that what is being sent is waited for, if nothing is said

SENT = "The node sends them within seconds if it runs, else at its start."

app = typer.Typer()

Uids = Annotated[list[str] | None, typer.Argument(help="Series Instance UIDs.", show_default=False)]


@app.command()
def reissue(
    series: Uids = None,
    study: Annotated[str | None, typer.Option(help="All series of this study.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every series.")] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Encode results again with the settings as they are now, without inference.

    They supersede the earlier ones, whose report theirs names as its predecessor.
    """
    from dicom_node.assembly.rerun_requests import request_reruns
    from storage.states import Rerun

    _require_choice(series, study, everything=everything)
    _print_outcomes(
        request_reruns(load(config), Rerun.REISSUE, series=series or (), study=study),
        named=not everything,
        as_json=as_json,
    )


@app.command()
def reprocess(series: Uids = None, as_json: AsJson = False, config: Ini = INI) -> None:
    """Analyse series again that have come to an end."""
    from dicom_node.assembly.rerun_requests import request_reruns
    from storage.states import Rerun

    if not series:
        raise UsageError("expected Series Instance UIDs, got none")
    outcomes = request_reruns(load(config), Rerun.REPROCESS, series=series)
    _print_outcomes(outcomes, named=True, as_json=as_json)


@app.command()
def redeliver(
    series: Uids = None,
    study: Annotated[str | None, typer.Option(help="All series of this study.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every series.")] = False,
    destination: Annotated[
        str | None,
        typer.Option(help="Only to this destination.", autocompletion=destinations_of),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Everything once more to this destination, which was replaced.",
            autocompletion=destinations_of,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="With --to: results made from this day on.", metavar=DAY)
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="With --to: how long to wait for what is being sent there."),
    ] = SENDING_SECONDS,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Send results again that were refused or given up, and at once what waits for its next try.

    Nothing is made anew, and nothing that has arrived is sent twice, but with --to and --since: a
    PACS that was replaced gets the latest results of all series once more, behind what is new.
    What has no file any more, or is still being sent to the one before, is named, with exit
    status 1.
    """
    from dicom_node.assembly.rerun_requests import request_redelivery

    if to is not None or since is not None:
        if to is None or since is None or series or study or everything or destination:
            raise UsageError("expected --to NAME and --since DAY together, and nothing else")
        start, _ = day_of(since, datetime.now().astimezone())
        _send_once_more(load(config), to, start, seconds, as_json=as_json)
    _require_choice(series, study, everything=everything)
    redelivery = request_redelivery(
        load(config), series=series or (), study=study, destination=destination
    )
    facts = {"due": _counts(redelivery.due), "missing": _counts(redelivery.missing)}
    print_outcome(facts, *_redelivered(redelivery), as_json=as_json)
    raise typer.Exit(1 if redelivery.missing else 0)


def _counts(objects: Counter[tuple[str, str]]) -> list[dict[str, str | int]]:
    """Give numbers of objects by series and destination, for programs."""
    return [
        {"series_instance_uid": uid, "destination": name, "objects": count}
        for (uid, name), count in sorted(objects.items())
    ]


def _redelivered(redelivery: Redelivery) -> Iterator[str]:
    """Say what is sent again, and what cannot be."""
    for (uid, name), objects in sorted(redelivery.due.items()):
        yield f"{uid}: {_objects(objects)} to {name}"
    for (uid, name), objects in sorted(redelivery.missing.items()):
        yield (
            f"{uid}: {_objects(objects)} cannot be sent to {name}: not kept any more, or the files"
            f" are missing; dicom-node reprocess {uid} makes results anew"
        )
    if redelivery.due:
        yield SENT
    elif not redelivery.missing:
        yield "nothing to do: nothing of these is refused, or waits"


def _send_once_more(
    settings: Settings, to: str, start: datetime, seconds: float, *, as_json: bool
) -> None:
    """Deliver everything once more to a destination, with a progress bar; exit."""
    from dicom_node.assembly.rerun_requests import request_anew

    with closing(request_anew(settings, to, start, by=f"{os_user()} (command line)")) as steps:
        entered = _entered(steps, to, time.monotonic() + seconds)
    left = [uid for uid, _ in entered.left]
    facts = {
        "destination": to,
        "results": entered.results,
        "objects": entered.objects,
        "missing": entered.missing,
        "left": left,
    }
    lines = [
        *(
            f"{uid}: not kept any more; dicom-node reprocess {uid} makes results anew"
            for uid in entered.missing
        ),
        *(
            f"{uid}: left out, for it is being sent to {to}: try again later; what a node that was"
            " killed had begun to send it puts back at its start"
            for uid in left
        ),
        f"{entered.results} results go to {to} once more, {_objects(entered.objects)}",
        *([SENT] if entered.results else ()),
    ]
    print_outcome(facts, *lines, as_json=as_json)
    raise typer.Exit(1 if entered.missing or left else 0)


def _entered(steps: Iterator[AnewSoFar], to: str, until: float) -> AnewSoFar:
    """Take the steps to the last, or until a time; say from where to go on if they break off."""
    from storage.errors import StorageError

    so_far = next(steps)
    total = len(so_far.left)
    with bar(err) as progress:
        task = progress.add_task("Entering", total=total)
        try:
            for so_far in steps:
                progress.update(task, completed=total - len(so_far.left))
                if so_far.waits and time.monotonic() >= until:
                    break
                if so_far.waits:
                    progress.update(task, description="Waiting for what is being sent")
                    time.sleep(LOOK_SECONDS)
        except (StorageError, KeyboardInterrupt):
            if so_far.left:
                day = min(made for _, made in so_far.left).astimezone()
                words = f"{so_far.results} results go to {to} once more; to go on: dicom-node"
                err.print(
                    f"ended half-way, {words} redeliver --to {to} --since {day:%Y-%m-%d}",
                    markup=False,
                    soft_wrap=True,
                )
            raise
    return so_far


def _objects(count: int) -> str:
    return f"{count} object{'' if count == 1 else 's'}"


def _require_choice(series: list[str] | None, study: str | None, *, everything: bool) -> None:
    if bool(series) + (study is not None) + everything != 1:
        raise UsageError("expected Series Instance UIDs, or --study UID, or --all")


def _print_outcomes(outcomes: list[RerunOutcome], *, named: bool, as_json: bool) -> None:
    """Print every outcome, and exit; a series named but refused, or unknown, gives status 1."""
    lines = [f"{outcome.series_instance_uid}: {outcome.text}" for outcome in outcomes]
    if not outcomes:
        lines.append("there is no such series")
    if any(outcome.accepted for outcome in outcomes):
        lines.append(TAKEN_UP)
    print_outcome({"series": outcomes}, *lines, as_json=as_json)
    refused = not outcomes or any(outcome.refused for outcome in outcomes)
    raise typer.Exit(1 if named and refused else 0)
