"""Close series that have been quiet long enough: from then on they wait to be analysed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.errors import StaleState
from storage.series.lifecycle import OpenSeries, close, receiving


def is_quiet(
    series: OpenSeries, now: datetime, watched_seconds: float, quiet_seconds: float
) -> bool:
    """Tell whether no instance of a series has come for so long, by both clocks.

    Parameters
    ----------
    now
        Time of day: it may be set, and then says nothing of the time that has passed.
    watched_seconds
        Time for which this process has seen the series as it is, by the monotonic clock.

    Notes
    -----
    A last instance that lies in the future by the quiet time counts as well: the clock was put
    back, and the series must not wait for it to catch up.
    """
    by_time_of_day = abs((now - series.last_at).total_seconds())
    return min(by_time_of_day, watched_seconds) >= quiet_seconds


class SeriesWatch:
    """Measures how long each open series has been as it is, since the node runs.

    Parameters
    ----------
    steady
        The monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: dict[OpenSeries, float] = {}

    def look(self, current: Sequence[OpenSeries]) -> dict[OpenSeries, float]:
        """Give the seconds for which each open series has not changed; new ones begin now."""
        now = self._steady()
        self._since = {series: self._since.get(series, now) for series in current}
        return {series: now - since for series, since in self._since.items()}


def close_quiet_series(
    resources: Resources,
    watch: SeriesWatch,
    *,
    quiet_seconds: float,
    quiet_seconds_by_ae: Mapping[str, float],
    wake: Callable[[], None],
) -> None:
    """Close every series that is quiet, and wake whoever analyses them.

    Parameters
    ----------
    watch
        The same at each call.
    quiet_seconds, quiet_seconds_by_ae
        Time since the latest instance: of any sender, and of single ones by their AE title.
    """
    with resources.sessions.begin() as session:
        now = resources.clock()
        quiet = [
            series
            for series, watched in watch.look(receiving(session)).items()
            if is_quiet(
                series, now, watched, quiet_seconds_by_ae.get(series.calling_ae, quiet_seconds)
            )
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
