"""Write log lines from a bounded queue on one thread: no caller waits for the log or fails by it.

What finds no room, or cannot be written, is counted.
"""

from __future__ import annotations

import atexit
import io
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TextIO

ROOM = 10_000  #: lines that may wait for a reader that is slow
FLUSH_SECONDS = 2.0  #: longest wait for lines in the queue when the process ends


class LogWriter:
    """Writes lines to a stream, in order.

    Parameters
    ----------
    stream
        Where lines go; its file descriptor is written to directly, if it has one. None, if
        standard error was closed when the process began: then all lines are lost.
    room
        Most lines that wait.

    Attributes
    ----------
    lost
        Lines that were not written so far: no room for them, or the stream did not take them.
    fault
        Why the latest of them was lost; empty while lines are written.
    """

    def __init__(self, stream: TextIO | None, *, room: int = ROOM) -> None:
        self._write = _writer_to(stream)
        self._lines: queue.Queue[str] = queue.Queue(room)
        self._counting = threading.Lock()
        self.lost, self.fault = 0, ""
        self.restart()
        atexit.register(self.flush)

    def put(self, line: str) -> None:
        """Take a line; never waits, never raises."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lose("the log is not read")

    def lose(self, reason: str) -> None:
        """Count a line that cannot be written."""
        with self._counting:
            self.lost += 1
            self.fault = reason

    def is_alive(self) -> bool:
        """Say whether the writing thread runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Start a writing thread."""
        self._thread = threading.Thread(target=self._follow, name="log", daemon=True)
        self._thread.start()

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until the lines put so far are written, at most so long."""
        deadline = time.monotonic() + seconds
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and self.is_alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._lines.all_tasks_done.wait(left)

    def _follow(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._write(f"{line}\n")
                self.fault = ""
            except (OSError, ValueError) as fault:  # ValueError: the stream is closed
                self.lose(f"the log cannot be written ({type(fault).__name__})")
            finally:
                self._lines.task_done()


def _writer_to(stream: TextIO | None) -> Callable[[str], object]:
    """Write to a stream's descriptor: a buffer would keep, and repeat, what was not taken."""
    if stream is None:
        return _closed
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream in memory
        return stream.write

    def write(text: str) -> None:
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


def _closed(text: str) -> None:
    raise ValueError("standard error is closed")


class WriterStream(io.TextIOBase):
    """Text stream for what libraries print to standard error: whole lines go to a writer."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._partial = threading.local()

    def writable(self) -> bool:
        """As in io."""
        return True

    def write(self, text: str) -> int:
        """Take text; lines are put when they are whole, for each thread apart."""
        *lines, rest = (getattr(self._partial, "text", "") + text).split("\n")
        self._partial.text = rest[-10_000:]
        for line in lines:
            self._writer.put(line)
        return len(text)
