"""Log where an exception arose, and never what it says: its words may quote a patient's header."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

OWN = ("config", "dicom_node", "pipeline", "storage")
"""Packages whose exceptions are ours: their messages hold nothing of a patient."""
MOST_FRAMES = 20  #: of one exception; the innermost say most
MOST_CAUSES = 5  #: exceptions of one chain
ROOT = Path(__file__).resolve().parents[1]  #: paths in the log are relative to it


def without_words(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by `exception`: types and places, as a processor of structlog."""
    given = event.pop("exc_info", None)
    fault = sys.exc_info()[1] if given is True else given
    if isinstance(fault, tuple):
        fault = fault[1]
    if isinstance(fault, BaseException):
        event["exception"] = described(fault)
    return event


def described(fault: BaseException) -> str:
    """Describe an exception and its causes: type, and the places it came through, one a line."""
    lines = (line for cause in _chain(fault) for line in (named(cause), *_places(cause)))
    return "\n".join(lines)


def named(fault: BaseException) -> str:
    """Name an exception by its type; with the message of our own, and the code of the system's."""
    kind = type(fault)
    name = kind.__name__
    if kind.__module__.partition(".")[0] in OWN:
        return f"{name}: {fault}"
    code = errno.errorcode.get(fault.errno or 0) if isinstance(fault, OSError) else None
    return f"{name}: {code}" if code else name


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """Follow an exception to its causes, the outermost first."""
    current: BaseException | None = fault
    for _ in range(MOST_CAUSES):
        if current is None:
            return
        yield current
        hidden = None if current.__suppress_context__ else current.__context__
        current = current.__cause__ or hidden


def _places(fault: BaseException) -> Iterator[str]:
    for frame, line in list(_frames(fault.__traceback__))[-MOST_FRAMES:]:
        yield f"  {_relative(frame.co_filename)}:{line} {frame.co_name}"


def _frames(trace: TracebackType | None) -> Iterator[tuple[Any, int]]:
    for frame, line in traceback.walk_tb(trace):
        yield frame.f_code, line


def _relative(file: str) -> str:
    path = Path(file)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
