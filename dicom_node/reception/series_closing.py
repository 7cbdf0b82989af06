"""Close series without new instances for long enough: they then wait to be analysed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.errors import StaleState
from storage.series.lifecycle import close, due_to_close


def close_quiet_series(
    resources: Resources,
    *,
    quiet_seconds: float,
    quiet_seconds_by_ae: Mapping[str, float],
    wake: Callable[[], None],
) -> None:
    """Close every series that is due, and wake the dispatcher of analyses.

    Parameters
    ----------
    quiet_seconds, quiet_seconds_by_ae
        Time since the latest instance, seconds: of any sender, and of single senders by AE title.
    wake
        Called if any series was closed.
    """
    with resources.sessions.begin() as session:
        now = resources.clock()
        due = due_to_close(session, now, lambda ae: quiet_seconds_by_ae.get(ae, quiet_seconds))
        for series in due:
            with suppress(StaleState):  # an instance came just now
                close(session, series, now)
                log.info(
                    "series_closed",
                    series_uid=series.series_instance_uid,
                    generation=series.generation,
                    instances=series.instances,
                    calling_ae=series.calling_ae,
                )
    if due:
        wake()
