"""Read a secret from a file of its own, as an INI file should hold none."""

from __future__ import annotations

import re
from pathlib import Path

from config.errors import Fault, SettingsError

ACCESS_KEY = re.compile(r"(?P<id>[!-9;-~]+):(?P<secret>[!-~]+)")  #: of an S3 service
DATABASE_URL = re.compile(r"sqlite(\+\w+)?:////[^/]|postgresql(\+\w+)?://")
"""Beginning of the URL of a supported database: of SQLite a file that is there for any program that
is started anywhere, so an absolute path, and none in memory."""
DATABASE_URL_FORM = "a URL that starts with sqlite://// (an absolute path follows) or postgresql://"


def database_url_in(file: Path) -> str:
    """Read the URL of a database, password and all, from a file of one line.

    Raises
    ------
    SettingsError
        If it cannot be read, or holds something else; the message does not show its content.
    """
    expected = f"a file with one line, {DATABASE_URL_FORM}"
    url = _line_in(file, "database_url_file", expected)
    if not DATABASE_URL.match(url):
        raise _unusable("database_url_file", expected, f"something else in {file}")
    return url


def access_key_in(file: Path) -> tuple[str, str]:
    """Read the access key of an S3 service, identifier and secret, from a file of one line.

    Raises
    ------
    SettingsError
        If it cannot be read, or holds something else; the message does not show its content.
    """
    expected = "a file with one line, ACCESS_KEY_ID:SECRET_ACCESS_KEY"
    found = ACCESS_KEY.fullmatch(_line_in(file, "objects_key_file", expected))
    if found is None:
        raise _unusable("objects_key_file", expected, f"something else in {file}")
    return found["id"], found["secret"]


def _line_in(file: Path, key: str, expected: str) -> str:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise _unusable(key, expected, f"{file} ({type(fault).__name__})") from None
    if "\n" in text:
        raise _unusable(key, expected, f"something else in {file}")
    return text


def _unusable(key: str, expected: str, got: str) -> SettingsError:
    return SettingsError((Fault(section="storage", key=key, expected=expected, got=got),))
