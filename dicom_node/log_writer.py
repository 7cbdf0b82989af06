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
from pathlib import Path
from typing import Protocol, TextIO

ROOM = 10_000  #: lines that may wait for a reader that is slow
FLUSH_SECONDS = 2.0  #: longest wait for lines in the queue when the process ends


class Writable(Protocol):
    """Takes text; raises OSError if it cannot."""

    def write(self, text: str, /) -> object:
        """Take text."""
        ...


class LogFile:
    """File of the log, appended to; one that was moved away or removed is begun anew.

    Several processes may append to one file.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()

    def write(self, text: str) -> None:
        """Append text.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if not self._is_in_place():
            before = self._descriptor
            self._descriptor = self._open()
            os.close(before)
        _write_all(self._descriptor, text)

    def _is_in_place(self) -> bool:
        """Say whether the file that is open is the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)


def _write_all(descriptor: int, text: str) -> None:
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class LogWriter:
    """Writes lines to a stream or file, in order.

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

    def __init__(self, stream: TextIO | Writable | None, *, room: int = ROOM) -> None:
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


def _writer_to(stream: TextIO | Writable | None) -> Callable[[str], object]:
    """Write to a stream's descriptor: a buffer would keep, and repeat, what was not taken."""
    if stream is None:
        return _closed
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]  # what has none is told below
    except (OSError, ValueError, AttributeError):  # a stream in memory, or a file of the log
        return stream.write
    return lambda text: _write_all(descriptor, text)


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
