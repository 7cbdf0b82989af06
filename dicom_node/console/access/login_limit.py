"""Bound of failed logins, by user and by address: guessing takes years, typing errors do not."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 5  #: failures that cost nothing
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 900.0  #: wait after the next, doubled up to the longest
FORGOTTEN_SECONDS = 3600.0  #: after the last failure
MOST = 10_000  #: names and addresses that are remembered


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0

    def waits_until(self) -> float:
        """Time before which no further try is looked at."""
        if self.count < FREE:
            return 0.0
        wait: float = FIRST_SECONDS * 2 ** min(self.count - FREE, 16)
        return self.last + min(wait, LONGEST_SECONDS)


class LoginLimit:
    """Counts failed logins; for any thread.

    Parameters
    ----------
    steady
        Monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_seconds(self, *keys: str) -> float:
        """Tell how long a try of any of these has still to wait; 0 if it may be made."""
        now = self._steady()
        with self._lock:
            known = [self._failures[key] for key in keys if key in self._failures]
            return max((one.waits_until() - now for one in known), default=0.0) if known else 0.0

    def begin(self, *keys: str) -> None:
        """Count a try for each of these as failed, until it has succeeded.

        It is counted before it is looked at, so that many at the same time are no more than one
        after the other.
        """
        now = self._steady()
        with self._lock:
            for key in keys:
                one = self._failures.setdefault(key, _Failures())
                if now - one.last > FORGOTTEN_SECONDS:
                    one.count = 0
                one.count, one.last = one.count + 1, now
                self._failures.move_to_end(key)
            while len(self._failures) > MOST:
                self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of these."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)
