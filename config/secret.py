"""Read a secret from a file of its own, as an INI file should hold none."""

from __future__ import annotations

import re
from pathlib import Path

from config.errors import Fault, SettingsError

DATABASE_URL = re.compile(r"(sqlite|postgresql)(\+\w+)?://")  #: supported databases


def database_url_in(file: Path) -> str:
    """Read the URL of a database, password and all, from a file of one line.

    Raises
    ------
    SettingsError
        If it cannot be read, or holds something else; the message does not show its content.
    """
    try:
        url = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise _unusable(f"{file} ({type(fault).__name__})") from None
    if not DATABASE_URL.match(url) or "\n" in url:
        raise _unusable(f"something else in {file}")
    return url


def _unusable(got: str) -> SettingsError:
    expected = "a file with one line, a URL that starts with sqlite:// or postgresql://"
    return SettingsError(
        (Fault(section="storage", key="database_url_file", expected=expected, got=got),)
    )
