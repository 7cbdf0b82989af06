"""Close series that have been quiet long enough: from then on they wait to be analysed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.errors import StaleState
from storage.series.lifecycle import OpenSeries, close, receiving


def is_quiet(series: OpenSeries, now: datetime, quiet_seconds: float) -> bool:
    """Say whether no instance of a series has come for so long.

    Notes
    -----
    A last instance that lies in the future by the quiet time counts as well: the clock was put
    back, and the series must not wait for it to catch up.
    """
    return abs((now - series.last_at).total_seconds()) >= quiet_seconds


def close_quiet_series(
    resources: Resources,
    *,
    quiet_seconds: float,
    quiet_seconds_by_ae: Mapping[str, float],
    wake: Callable[[], None],
) -> None:
    """Close every series that is quiet, and wake whoever analyses them.

    Parameters
    ----------
    quiet_seconds, quiet_seconds_by_ae
        Time since the latest instance: of any sender, and of single ones by their AE title.
    """
    with resources.sessions.begin() as session:
        now = resources.clock()
        quiet = [
            series
            for series in receiving(session)
            if is_quiet(series, now, quiet_seconds_by_ae.get(series.calling_ae, quiet_seconds))
        ]
        for series in quiet:
            with suppress(StaleState):  # an instance came just now: it is quiet no more
                close(session, series, now)
                log.info(
                    "series_closed",
                    series_uid=series.series_instance_uid,
                    generation=series.generation,
                    instances=series.instances,
                    calling_ae=series.calling_ae,
                )
    if quiet:
        wake()
