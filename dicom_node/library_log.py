"""Make events of our log of what libraries log, or warn of: with the place, never with values.

A library may quote what it was given, so that of a message only its template counts, and of those
that handle data sets and pixels nothing but the place.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TextIO

import structlog

WORDLESS = frozenset(
    {"pydicom", "pynetdicom", "highdicom", "imagecodecs", "PIL", "SimpleITK", "numpy", "py"}
)
"""Libraries that see headers and pixels of patients, by the first part of the logger's name."""
MOST_WORDS = 200  #: characters of a template

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class LibraryHandler(logging.Handler):
    """Logs the records of libraries as events."""

    def emit(self, record: logging.LogRecord) -> None:
        """As in logging; it never raises, as our log does not."""
        fields = {"what": _template(record), "place": f"{_place(record.pathname)}:{record.lineno}"}
        log.log(
            record.levelno,
            "library_complained",
            library=record.name,
            exc_info=record.exc_info or None,
            **{name: value for name, value in fields.items() if value},
        )


def _template(record: logging.LogRecord) -> str:
    """Give the first line of a message without its values; nothing of those that see patients."""
    if record.name.partition(".")[0] in WORDLESS or not isinstance(record.msg, str):
        return ""
    return record.msg.partition("\n")[0][:MOST_WORDS]


def _place(file: str) -> str:
    """Name a file by its last two parts: enough to find it in a library."""
    return "/".join(Path(file).parts[-2:])


def log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning by its kind and place; in the place of `warnings.showwarning`."""
    where = f"{_place(filename)}:{lineno}"
    log.warning("library_complained", library="warnings", what=category.__name__, place=where)
