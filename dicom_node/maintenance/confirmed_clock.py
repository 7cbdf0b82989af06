"""Judge ages by a time of day that the node itself has watched pass, before data are removed.

A clock that is set forward makes everything old at once, and what retention removes is gone. So a
time of day that runs ahead is believed only when the node has seen it hold for a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(hours=1)  #: ahead of what has passed; less is believed
DOWNTIME = timedelta(days=1)  #: between the latest record and a start; less is believed
CONFIRMING_SECONDS = 24 * 3600.0  #: for which a clock that runs ahead must hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A time by which ages may be judged, and when it was judged.

    Attributes
    ----------
    time
        The time of day, or an earlier time.
    steady
        Reading of the monotonic clock, seconds.
    ahead_since
        Reading of the monotonic clock since which the time of day has run ahead; None if it does
        not.
    """

    time: datetime
    steady: float
    ahead_since: float | None = None

    @property
    def is_doubted(self) -> bool:
        """Whether the time of day is not believed yet."""
        return self.ahead_since is not None


def begin(now: datetime, steady: float, latest: datetime | None) -> Judgement:
    """Judge the time at a start, by the latest time that the database knows of (None if empty)."""
    if latest is None or now - latest <= DOWNTIME:
        return Judgement(time=now, steady=steady)
    return Judgement(time=latest, steady=steady, ahead_since=steady)


def judge(last: Judgement, now: datetime, steady: float) -> Judgement:
    """Judge the time by the one judged last and by what has passed since on the monotonic clock."""
    expected = last.time + timedelta(seconds=steady - last.steady)
    if now <= expected + TOLERANCE:
        return Judgement(time=now, steady=steady)
    since = steady if last.ahead_since is None else last.ahead_since
    if steady - since >= CONFIRMING_SECONDS:
        return Judgement(time=now, steady=steady)
    return Judgement(time=expected, steady=steady, ahead_since=since)


class ConfirmedClock:
    """Gives a time of day that a clock set forward does not change at once.

    Parameters
    ----------
    clock
        Gives the time of day.
    steady
        The monotonic clock, seconds.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._steady = clock, steady
        self._last: Judgement | None = None

    def look(self, latest: datetime | None) -> Judgement:
        """Judge the present; `latest` is the latest time in the database, used the first time."""
        now, steady = self._clock(), self._steady()
        last = self._last
        self._last = begin(now, steady, latest) if last is None else judge(last, now, steady)
        return self._last
