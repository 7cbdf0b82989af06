"""Bound of failed logins: guessing takes years, typing errors do not, and nobody locks others out.

From an address at which a user has logged in before, only failures of that user from there count,
and the wait is short; so a stranger who tries a name keeps its owner out nowhere he usually is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from storage.console.login_tries import (
    Tries,
    count_try,
    forget_tries,
    forget_tries_by,
    lock_tries,
    take_back_try,
    tries_by,
)
from storage.database.sessions import Sessions

FREE = 5  #: failures that cost nothing
FIRST_SECONDS, LONGEST_SECONDS = 5.0, 900.0  #: wait after the next, doubled up to the longest
SHORT_SECONDS = 30.0  #: longest wait where the user has logged in before: 2,880 tries a day
FORGOTTEN = timedelta(hours=1)  #: after the last failure


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
    together = f"from {place}: {name}"  # a place has no space, but a name that is typed may
    if is_known_there:
        return Try(keys=(together,), longest=SHORT_SECONDS)
    return Try(keys=(together, f"user {name}", f"address {place}"))


def network_of(address: str) -> str:
    """Give the network that one caller has: the address, or the first half of one of IPv6."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((known, 64), strict=False)) if known.version == 6 else address


def wait_seconds(tries: Tries, longest: float, now: datetime) -> float:
    """Decide how long the next try by a key has still to wait; 0 if it may be made.

    A clock that was set back makes it no longer than the wait itself.
    """
    if tries.count < FREE:
        return 0.0
    wait = min(FIRST_SECONDS * 2.0 ** min(tries.count - FREE, 16), longest)
    return min(max(0.0, wait - (now - tries.last_at).total_seconds()), wait)


def longest_wait(tries: Iterable[Tries], longest: float, now: datetime) -> float:
    """Give the longest of the waits of `wait_seconds`; 0 without any."""
    return max((wait_seconds(one, longest, now) for one in tries), default=0.0)


class LoginLimit:
    """Counts failed logins in the database: a restart, or another console, forgets none.

    Parameters
    ----------
    clock
        Gives the time.
    """

    def __init__(self, sessions: Sessions, clock: Callable[[], datetime]) -> None:
        self._sessions, self._clock = sessions, clock

    def begin(self, one_try: Try) -> float:
        """Count a try as failed, until it has succeeded; or tell how many seconds it has to wait.

        It is counted before it is looked at, so that many at the same time are no more than one
        after the other. One that has to wait writes nothing, so nobody pushes out what is counted
        by trying on. 0 if it may be made.
        """
        now = self._clock()
        with self._sessions.reading() as session:
            wait = longest_wait(tries_by(session, one_try.keys), one_try.longest, now)
        if wait:
            return wait
        with self._sessions.begin() as session:  # of its own: its locks are in no order
            forget_tries(session, now - FORGOTTEN)
        with self._sessions() as session:
            tries = lock_tries(session, one_try.keys, now)
            if wait := longest_wait(tries, one_try.longest, now):  # others were quicker
                return wait
            count_try(session, one_try.keys, now)
            session.commit()
        return 0.0

    def take_back(self, one_try: Try) -> None:
        """Count a try no more: no password was looked at."""
        with self._sessions.begin() as session:
            take_back_try(session, one_try.keys)

    def succeeded(self, one_try: Try) -> None:
        """Forget the failures that a try is counted by."""
        with self._sessions.begin() as session:
            forget_tries_by(session, one_try.keys)
