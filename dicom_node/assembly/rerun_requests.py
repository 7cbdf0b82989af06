"""Enter requests for reruns and redeliveries, for `reissue`, `reprocess` and `redeliver`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime

from config.settings import Settings
from dicom_node.analysis.rerun import RerunOutcome, request_rerun
from dicom_node.assembly.analysis import request_builder_of
from dicom_node.assembly.delivery import receivers_of
from dicom_node.assembly.resources import existing_resources
from dicom_node.errors import NodeError
from storage.console.changes import Change, record_change
from storage.delivery.redelivery import (
    Redelivery,
    begin_anew,
    redeliver,
    series_with_results,
)
from storage.series.rerun import ended_series
from storage.states import Rerun

AT_ONCE = 50  #: series in one transaction: a node beside it waits for no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class AnewSoFar:
    """How far :func:`request_anew` has come.

    Attributes
    ----------
    results, objects
        Numbers of what is sent.
    missing
        Series whose results are not kept any more.
    left
        Series still to be entered, and when their results were made.
    waits
        Whether all of these are being sent at the moment: the next step tries them again.
    """

    results: int
    objects: int
    missing: tuple[str, ...]
    left: tuple[tuple[str, datetime], ...]
    waits: bool


def request_reruns(
    settings: Settings, rerun: Rerun, *, series: Sequence[str] = (), study: str | None = None
) -> list[RerunOutcome]:
    """Request a rerun of series, of those of a study, or of all; return the outcome of each.

    Raises
    ------
    NodeError
        If there is no database.
    """
    with closing(existing_resources(settings)) as resources:
        request_builder = request_builder_of(settings, resources, quiet=True)
        with resources.sessions() as session:
            known = ended_series(session, series=series, study=study)
        outcomes = [
            request_rerun(resources.sessions, request_builder, ended, rerun) for ended in known
        ]
    missing = sorted(set(series) - {ended.series_instance_uid for ended in known})
    return outcomes + [
        RerunOutcome(series_instance_uid=uid, refused=True, text="refused: there is no such series")
        for uid in missing
    ]


def request_redelivery(
    settings: Settings,
    *,
    series: Sequence[str] = (),
    study: str | None = None,
    destination: str | None = None,
) -> Redelivery:
    """Make undelivered objects due now, and count them.

    Raises
    ------
    NodeError
        If there is no database, no such destination or no such series.
    """
    names = _enabled(settings, destination)
    with (
        closing(existing_resources(settings)) as resources,
        resources.sessions.begin() as session,
    ):
        known_series = {
            ended.series_instance_uid for ended in ended_series(session, series=series, study=study)
        }
        missing = sorted(set(series) - known_series)
        if missing or (study is not None and not known_series):
            raise NodeError(f"expected series that are known, got {study or ', '.join(missing)}")
        return redeliver(
            session,
            resources.clock(),
            folder=resources.folder,
            destinations=[destination] if destination else names,
            series=series,
            study=study,
        )


def request_anew(
    settings: Settings, destination: str, since: datetime, *, by: str
) -> Generator[AnewSoFar]:
    """Deliver the latest results made since a time once more, to a destination that was replaced.

    Some series at a time, each time in one transaction; who asked for it is recorded. Series that
    are being sent at the moment are tried again after the others, until none is left.

    Yields
    ------
    AnewSoFar
        At the beginning, and after each transaction.

    Raises
    ------
    NodeError
        If there is no database, or no such destination.
    """
    _enabled(settings, destination)
    kinds = receivers_of(settings)[destination]
    with closing(existing_resources(settings)) as resources:
        with resources.sessions.reading() as session:
            series = series_with_results(session, since)
        asked = Change(
            at=resources.clock(),
            user=by,
            action="redeliver",
            subject=destination,
            after=f"results since {since:%Y-%m-%d %H:%M}, {len(series)} series",
        )
        with resources.sessions.begin() as session:
            record_change(session, asked)
        so_far = AnewSoFar(results=0, objects=0, missing=(), left=tuple(series), waits=False)
        yield so_far
        while tried := so_far.left:
            so_far = replace(so_far, left=())
            while tried:
                batch, tried = tried[:AT_ONCE], tried[AT_ONCE:]
                with resources.sessions.begin() as session:
                    done = begin_anew(
                        session,
                        [uid for uid, _ in batch],
                        destination,
                        folder=resources.folder,
                        now=resources.clock(),
                        kinds=kinds,
                    )
                sending = tuple(one for one in batch if one[0] in done.sending)
                so_far = AnewSoFar(
                    results=so_far.results + done.results,
                    objects=so_far.objects + done.objects,
                    missing=so_far.missing + done.missing,
                    left=so_far.left + sending,
                    waits=not tried and bool(so_far.left + sending),
                )
                yield replace(so_far, left=so_far.left + tried)


def _enabled(settings: Settings, destination: str | None) -> list[str]:
    """List the destinations that get results; one that is named must be among them."""
    names = [known.name for known in settings.destinations if known.enabled]
    if destination is not None and destination not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NodeError(
            f"expected a destination that is set and enabled ({known}), got {destination}"
        )
    return names
