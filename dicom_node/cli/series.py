"""The commands `series list` and `queue`: what became of series, and what still waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import DAY, INI, AsJson, Ini, day_of, destinations_of
from dicom_node.errors import UsageError
from storage.states import SeriesState

if TYPE_CHECKING:
    from dicom_node.resources import Resources
    from storage.console.worklist import Filter, Line
    from storage.overview import Remark

PAGE = 500  #: series read at once
PACE_HOURS = 24  #: over which the pace of analyses is taken

app = typer.Typer()
series = typer.Typer(no_args_is_help=True, help="Series, and what became of them.")
app.add_typer(series, name="series")

State = Annotated[SeriesState | None, typer.Option(help="Only series in this state.")]
Day = Annotated[
    str | None, typer.Option(metavar=DAY, help="Only those that came into their state that day.")
]
Since = Annotated[
    str | None, typer.Option(metavar=DAY, help="Only those that did so on that day or later.")
]
Received = Annotated[
    str | None, typer.Option(metavar=DAY, help="Only those whose latest image came that day.")
]


@series.command(name="list")
def list_series(
    state: State = None,
    day: Day = None,
    since: Since = None,
    received: Received = None,
    sender: Annotated[str, typer.Option(help="AE title that sent it.")] = "",
    destination: Annotated[
        str,
        typer.Option(help="With results for this destination.", autocompletion=destinations_of),
    ] = "",
    patient: Annotated[str, typer.Option(help="Patient ID, exactly; it is kept nowhere.")] = "",
    accession: Annotated[str, typer.Option(help="Accession Number, exactly.")] = "",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    reference: Annotated[
        str, typer.Option(help="Reference of a result, as messages name it.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="The latest so many; 0 lists all.")] = 0,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """List series with state, reason and deliveries, the latest first; all that are asked for."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.cli.views import series as view
    from storage.console.worklist import Filter

    now = datetime.now().astimezone()
    entered, until = _span(day, since, now)
    received_from, received_until = day_of(received, now) if received else (None, None)
    settings = load(config)
    wanted = Filter(
        state=state,
        sender=sender,
        destination=destination,
        study=study,
        since=received_from,
        until=received_until,
        entered_since=entered,
        entered_until=until,
        patients=_digests(settings, patient),
        accessions=_digests(settings, accession),
    )
    with closing(existing_resources(settings)) as resources:
        wanted = replace(wanted, series=_referred(resources, reference))
        lines = _lines(resources, wanted, limit)
        if as_json:
            typer.echo(view.as_json(list(lines)))
            return
        shown = 0
        for line, remarks in lines:
            typer.echo(view.words(line, remarks))
            shown += 1
    typer.echo(f"{shown} series")


@app.command()
def queue(as_json: AsJson = False, config: Ini = INI) -> None:
    """Show what waits, for how long, and when its results are expected; likewise deliveries."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.cli.views import series as view
    from storage.console.node_pages import backlog, queue, waited_for
    from storage.delivery.pauses import pauses
    from storage.series.pace import latest_analyses, seconds_each

    settings, now = load(config), datetime.now(UTC)
    with closing(existing_resources(settings)) as resources, resources.sessions.reading() as found:
        pace = seconds_each(latest_analyses(found, now - timedelta(hours=PACE_HOURS)))
        waiting = queue(found, None)
        paused = pauses(found)
        known = [one.name for one in settings.destinations]
        names = sorted({*known, *paused, *waited_for(found)})
        backlogs = {name: backlog(found, name) for name in names}
    shown = view.Queue.of(waiting, backlogs, frozenset(paused), pace=pace, now=now)
    typer.echo(view.queue_as_json(shown) if as_json else "\n".join(view.queue_words(shown)))


def _span(
    day: str | None, since: str | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Read --day or --since; each leaves open what it does not say."""
    if day and since:
        raise UsageError("expected --day or --since, got both")
    if day:
        return day_of(day, now)
    return (day_of(since, now)[0] if since else None), None


def _digests(settings: Settings, value: str) -> tuple[str, ...]:
    """Digest an identifier as reception does, byte by byte as well; none if it is empty."""
    from dicom_node.identity_key import existing_key

    if not (value := value.strip()):
        return ()
    key = existing_key(settings.storage.folder)
    return tuple(sorted({key.digest(value), key.digest(value.encode().decode("latin-1"))}))


def _referred(resources: Resources, reference: str) -> tuple[str, ...] | None:
    """Find the series of a reference; None, for all series, if none is asked for."""
    from storage.results.to_tell import series_of_reference

    if not reference:
        return None
    with resources.sessions.reading() as session:
        return tuple(series_of_reference(session, reference))


def _lines(
    resources: Resources, wanted: Filter, limit: int
) -> Iterator[tuple[Line, Sequence[Remark]]]:
    """Read page after page, so that any number needs the memory of one.

    With each series comes why deliveries of it are tried again.
    """
    from storage.console.worklist import worklist
    from storage.overview import waiting_remarks
    from storage.states import UNDER_WAY

    left = limit
    while True:
        with resources.sessions.reading() as session:
            page = worklist(session, wanted, min(PAGE, left) if limit else PAGE)
            unsent = [
                line.series_instance_uid
                for line in page
                if any(UNDER_WAY & states.keys() for states in line.destinations.values())
            ]
            remarks = waiting_remarks(session, unsent)
        yield from ((line, remarks.get(line.series_instance_uid, ())) for line in page)
        left -= len(page)
        if len(page) < PAGE or (limit and left <= 0):
            return
        wanted = replace(wanted, before=(page[-1].last_at, page[-1].series_instance_uid))
