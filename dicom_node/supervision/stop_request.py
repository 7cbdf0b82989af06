"""Hear SIGTERM and SIGINT, whatever the main thread is doing at that moment."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_request() -> threading.Event:
    """Have an event set when the process is asked to stop; call it from the main thread.

    Python runs a handler within the main thread, between any two of its steps. One that set the
    event itself would wait for ever if that thread was just about to wait for the event, and so
    held its lock. This one only writes to a pipe; a thread of its own sets the event.
    """
    asked = threading.Event()
    hears, tells = os.pipe()
    os.set_blocking(tells, False)

    def tell(_number: int, _frame: FrameType | None) -> None:
        with suppress(BlockingIOError):  # it was asked thousands of times
            os.write(tells, b".")

    def hear() -> None:
        os.read(hears, 1)
        asked.set()

    threading.Thread(target=hear, name="signals", daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, tell)
    return asked
