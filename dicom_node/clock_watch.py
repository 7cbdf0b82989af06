"""Detect that the system clock was set, so that jobs due at a time of day do not wait for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from dicom_node.logs import log

TOLERANCE_SECONDS = 2.0  #: smaller steps are the daily work of time synchronisation


class ClockWatch:
    """Compares the time of day with the monotonic clock, and calls back when they drift apart.

    Parameters
    ----------
    jumped
        Called after the time of day was set.
    time_of_day, steady
        The two clocks, seconds.
    """

    def __init__(
        self,
        jumped: Callable[[], object],
        *,
        time_of_day: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jumped = jumped
        self._clocks = time_of_day, steady
        self._expected = self._difference()

    def poll(self) -> None:
        """Compare the clocks once; log a jump and call back."""
        seconds = self._difference() - self._expected
        self._expected += seconds
        if abs(seconds) > TOLERANCE_SECONDS:
            log.warning("clock_jumped", seconds=round(seconds))
            self._jumped()

    def _difference(self) -> float:
        time_of_day, steady = self._clocks
        return time_of_day() - steady()


def utc_now() -> datetime:
    """Return the time of day in UTC, timezone-aware."""
    return datetime.now(UTC)
