"""Make reruns and redeliveries that an operator asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from config.settings import Settings
from dicom_node.analysis.rerun import RerunOutcome, request_rerun
from dicom_node.assembly import existing_resources, request_builder_of
from dicom_node.errors import NodeError
from storage.delivery.redelivery import redeliver
from storage.series.rerun import ended_series
from storage.states import Rerun


def request_reruns(
    settings: Settings, wish: Rerun, *, series: Sequence[str] = (), study: str | None = None
) -> list[RerunOutcome]:
    """Make a wish for series, for those of a study, or for all; say what comes of each.

    Raises
    ------
    NodeError
        If there is no database.
    """
    resources = existing_resources(settings)
    request_builder = request_builder_of(settings, resources)
    with resources.sessions() as session:
        found = ended_series(session, series=series, study=study)
    missing = sorted(set(series) - {each.series_instance_uid for each in found})
    return [request_rerun(request_builder, each, wish) for each in found] + [
        RerunOutcome(series_instance_uid=uid, refused=True, text="refused: there is no such series")
        for uid in missing
    ]


def request_redelivery(
    settings: Settings,
    *,
    series: Sequence[str] = (),
    study: str | None = None,
    destination: str | None = None,
) -> Counter[tuple[str, str]]:
    """Have what has not arrived sent now; count it by series and destination.

    Raises
    ------
    NodeError
        If there is no database, no such destination or no such series.
    """
    names = [each.name for each in settings.destinations if each.enabled]
    if destination is not None and destination not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NodeError(
            f"expected a destination that is set and enabled ({known}), got {destination}"
        )
    resources = existing_resources(settings)
    with resources.sessions.begin() as session:
        found = {
            each.series_instance_uid for each in ended_series(session, series=series, study=study)
        }
        missing = sorted(set(series) - found)
        if missing or (study is not None and not found):
            raise NodeError(f"expected series that are known, got {study or ', '.join(missing)}")
        return redeliver(
            session,
            resources.clock(),
            destinations=[destination] if destination else names,
            series=series,
            study=study,
        )
