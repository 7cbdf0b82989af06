"""Hear SIGTERM and SIGINT, whatever the main thread is doing at that moment."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_request() -> threading.Event:
    """Have an event set when the process is asked to stop; call it from the main thread.

    Python runs a handler within the main thread, between any two of its steps. One that set the
    event itself would wait for ever if that thread was just about to wait for the event, and so
    held its lock; and none runs at all if the signal came between the thread's last look for
    signals and the moment at which it began to wait. So nothing depends on the handler: the
    interpreter writes the number of each signal to a pipe as soon as it comes, and a thread of its
    own reads them and sets the event.
    """
    asked = threading.Event()
    hears, tells = os.pipe()
    os.set_blocking(tells, False)

    def hear() -> None:
        while not set(os.read(hears, 1)) & set(SIGNALS):
            pass
        asked.set()

    threading.Thread(target=hear, name="signals", daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, _heard)
    signal.set_wakeup_fd(tells, warn_on_full_buffer=False)  # it may be asked thousands of times
    return asked


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Only keep the signal from ending the process: the pipe has told of it."""
