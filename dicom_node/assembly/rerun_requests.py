"""Enter requests for reruns and redeliveries, for `reissue`, `reprocess` and `redeliver`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from config.settings import Settings
from dicom_node.analysis.rerun import RerunOutcome, request_rerun
from dicom_node.assembly.analysis import request_builder_of
from dicom_node.assembly.resources import existing_resources
from dicom_node.errors import NodeError
from storage.delivery.redelivery import Redelivery, redeliver
from storage.series.rerun import ended_series
from storage.states import Rerun


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
    names = [known.name for known in settings.destinations if known.enabled]
    if destination is not None and destination not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NodeError(
            f"expected a destination that is set and enabled ({known}), got {destination}"
        )
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
            folder=resources.folder.root,
            destinations=[destination] if destination else names,
            series=series,
            study=study,
        )
