"""Bound of failed logins: guessing takes years, typing errors do not, and nobody locks others out.

From an address at which a user has logged in before, only failures of that user from there count,
and the wait is short; so a stranger who tries a name keeps its owner out nowhere he usually is.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 5  #: failures that cost nothing
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 900.0  #: wait after the next, doubled up to the longest
SHORT_SECONDS = 30.0  #: longest wait where the user has logged in before: 2,880 tries a day
FORGOTTEN_SECONDS = 3600.0  #: after the last failure
MOST = 10_000  #: names and addresses that are remembered


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0

    def waits_until(self, longest: float) -> float:
        """Time before which no further try is looked at."""
        if self.count < FREE:
            return 0.0
        wait: float = FIRST_SECONDS * 2 ** min(self.count - FREE, 16)
        return self.last + min(wait, longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What a try to log in is counted by, and how long it may have to wait at most."""

    keys: tuple[str, ...]
    longest: float = LONGEST_SECONDS


def try_of(name: str, place: str, *, is_known_there: bool) -> Try:
    """Decide by what a try of a name from a place is counted.

    Parameters
    ----------
    place
        Network that one caller has.
    is_known_there
        Whether the user has logged in from there before.
    """
    together = f"user {name} from {place}"
    if is_known_there:
        return Try(keys=(together,), longest=SHORT_SECONDS)
    return Try(keys=(together, f"user {name}", f"address {place}"))


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

    def wait_seconds(self, one_try: Try) -> float:
        """Tell how long a try has still to wait; 0 if it may be made."""
        now = self._steady()
        with self._lock:
            known = [self._failures[key] for key in one_try.keys if key in self._failures]
            return max((one.waits_until(one_try.longest) - now for one in known), default=0.0)

    def begin(self, one_try: Try) -> None:
        """Count a try as failed, until it has succeeded.

        It is counted before it is looked at, so that many at the same time are no more than one
        after the other.
        """
        now = self._steady()
        with self._lock:
            for key in one_try.keys:
                one = self._failures.setdefault(key, _Failures())
                if now - one.last > FORGOTTEN_SECONDS:
                    one.count = 0
                one.count, one.last = one.count + 1, now
                self._failures.move_to_end(key)
            while len(self._failures) > MOST:
                self._failures.popitem(last=False)

    def succeeded(self, one_try: Try) -> None:
        """Forget the failures that a try is counted by."""
        with self._lock:
            for key in one_try.keys:
                self._failures.pop(key, None)
