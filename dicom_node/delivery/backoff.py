"""Exponential backoff between the attempts of a delivery."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

SATURATED = 64  #: attempts after which waits grow no more: the longest has long been reached
TRIED_SHARE = 0.5  #: of the time before giving up; the rest is left to a node that did not run


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Wait before the next attempt of a delivery, and the deadline of all attempts.

    Attributes
    ----------
    first_seconds, factor, max_seconds
        The n-th wait is ``first_seconds * factor**(n-1)``, at most `max_seconds`.
    give_up_after
        Time since the delivery was first due after which it is refused for good, if it has been
        tried `least_attempts` times: a clock that is set forward passes the time, and no tries.
    spread
        Waits are shortened by up to this share, so that nodes and results that were postponed
        together do not all try again together.
    """

    first_seconds: float
    factor: float
    max_seconds: float
    give_up_after: timedelta
    spread: float = 0.2

    def wait(self, attempts: int) -> timedelta:
        """Wait after the `attempts`-th failed attempt (1 or more)."""
        steps = min(attempts - 1, SATURATED)
        return timedelta(seconds=min(self.first_seconds * self.factor**steps, self.max_seconds))

    @property
    def longest(self) -> timedelta:
        """Longest wait before an attempt: one that is farther off shows a clock set back."""
        return timedelta(seconds=self.max_seconds)

    @property
    def least_attempts(self) -> int:
        """Attempts before a delivery is given up: those that `TRIED_SHARE` of the time allows."""
        left = self.give_up_after * TRIED_SHARE
        for attempts in range(1, SATURATED + 1):
            if left < self.wait(attempts):
                return attempts - 1
            left -= self.wait(attempts)
        return SATURATED + int(left / self.wait(SATURATED + 1))

    def next_try(
        self, *, attempts: int, first_at: datetime, now: datetime, key: str = ""
    ) -> datetime | None:
        """Time of the next attempt; None when the deadline has passed.

        Parameters
        ----------
        key
            Deliveries of the same key and attempts have the same time: the objects of a result.
        """
        if now - first_at >= self.give_up_after and attempts >= self.least_attempts:
            return None
        lot = zlib.crc32(f"{key}/{attempts}".encode()) / 2**32
        return now + self.wait(attempts) * (1 - self.spread * lot)
