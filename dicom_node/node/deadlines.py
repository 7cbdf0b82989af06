"""Time that a stop may take, and each part of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STOP_SECONDS = 10.0  #: longest that a stop takes: what has not finished then is tried again later
WORK_SECONDS = 6.5  #: of these for what is under way; the rest to let go of database and audit
DRAIN_SECONDS = 4.0  #: of these for open associations and requests
ENGINE_SECONDS = 2.0  #: of these for the engine
RELEASE_SECONDS = 1.5  #: of these to give back in the database what did not finish


def time_left(deadline: float) -> float:
    """Seconds until a deadline (monotonic, seconds); none once it has passed."""
    return max(0.0, deadline - time.monotonic())


def wait_within(deadline: float, act: Callable[[], object]) -> None:
    """Do something, and wait for its end until a deadline (monotonic, seconds)."""
    thread = threading.Thread(target=act, name="closing", daemon=True)
    thread.start()
    thread.join(time_left(deadline))
