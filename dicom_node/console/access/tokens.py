"""Tokens of programs: how they look, and how often one may ask."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

PREFIX = "dicom-node_"  #: by which scanners for secrets find one that was published by mistake
TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
SECRET_BYTES = 32
DEFAULT_DAYS, LONGEST_DAYS = 365, 3650  #: that a token is worth something


def new_program_token() -> str:
    """Draw the token of a program: 256 bits."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class RateLimit:
    """Allows each key so many requests at once, and so many a second; for any thread.

    Parameters
    ----------
    burst
        Requests at once.
    per_second
        Requests that are allowed anew each second.
    steady
        Monotonic clock, seconds.
    """

    MOST = 10_000  #: keys that are remembered

    def __init__(
        self, burst: int, per_second: float, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_second, self._steady = burst, per_second, steady
        self._lock = threading.Lock()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    def wait_seconds(self, key: str) -> float:
        """Take one request of a key; 0 if it is allowed, else the wait until the next is."""
        now = self._steady()
        with self._lock:
            one = self._allowances.setdefault(key, _Allowance(self._burst, now))
            self._allowances.move_to_end(key)
            while len(self._allowances) > self.MOST:
                self._allowances.popitem(last=False)
            one.left = min(self._burst, one.left + (now - one.at) * self._per_second)
            one.at = now
            if one.left < 1:
                return (1 - one.left) / self._per_second
            one.left -= 1
            return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """How often programs may ask.

    Attributes
    ----------
    requests
        By token.
    refused
        With a token that is none, by network; one that is known is never kept out by it.
    outside
        Logins that make us ask an OpenID provider, by network.
    """

    requests: RateLimit = field(default_factory=lambda: RateLimit(120, 2.0))
    refused: RateLimit = field(default_factory=lambda: RateLimit(10, 0.1))
    outside: RateLimit = field(default_factory=lambda: RateLimit(20, 0.2))
