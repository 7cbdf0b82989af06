"""Bound of failed logins: guessing takes years, typing errors do not, and nobody locks others out.

From an address at which a user has logged in before, only failures of that user from there count,
and the wait is short; so a stranger who tries a name keeps its owner out nowhere he usually is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.console.login_tries import Tries, forget_tries, record_tries, tries_by
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
    together = f"user {name} from {place}"
    if is_known_there:
        return Try(keys=(together,), longest=SHORT_SECONDS)
    return Try(keys=(together, f"user {name}", f"address {place}"))


def wait_seconds(tries: Tries, longest: float, now: datetime) -> float:
    """Decide how long the next try by a key has still to wait; 0 if it may be made.

    A clock that was set back makes it no longer than the wait itself.
    """
    if tries.count < FREE:
        return 0.0
    wait = min(FIRST_SECONDS * 2.0 ** min(tries.count - FREE, 16), longest)
    return min(max(0.0, wait - (now - tries.last_at).total_seconds()), wait)


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
        after the other. 0 if it may be made.
        """
        now = self._clock()
        with self._sessions.begin() as session:
            forget_tries(session, now - FORGOTTEN)
            known = tries_by(session, one_try.keys, now)
            wait = max(wait_seconds(one, one_try.longest, now) for one in known.values())
            if wait == 0:
                record_tries(session, {key: one.count + 1 for key, one in known.items()}, now)
            return wait

    def succeeded(self, one_try: Try) -> None:
        """Forget the failures that a try is counted by."""
        now = self._clock()
        with self._sessions.begin() as session:
            tries_by(session, one_try.keys, now)
            record_tries(session, dict.fromkeys(one_try.keys, 0), now)
