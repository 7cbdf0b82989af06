"""Read values of addresses and forms: each in the one form that our pages and answers write.

Python's own readers take more: a sign, an exponent, underscores, spaces, digits of other scripts.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from starlette.convertors import Convertor, register_url_convertor

MAX_UID = 64  #: characters, PS3.5 9.1
UID = re.compile(rf"[0-9A-Za-z.-]{{1,{MAX_UID}}}")  #: some archives give UUIDs for UIDs
WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")
DECIMAL = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,20})?")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def whole(text: str) -> int:
    """Read a whole number, 0 or more.

    Raises
    ------
    ValueError
        If the text is none in decimal digits alone.
    """
    if not WHOLE.fullmatch(text):
        raise ValueError("expected a whole number in decimal digits")
    return int(text)


def decimal(text: str) -> float:
    """Read a number, 0 or more, that is written with a point and without an exponent.

    Raises
    ------
    ValueError
        If the text is none.
    """
    if not DECIMAL.fullmatch(text):
        raise ValueError("expected a number such as 0.25")
    return float(text)


def plain(number: float) -> str:
    """Write a number as `decimal` reads it, with every digit that it has."""
    return f"{Decimal(repr(float(number))):f}"


def day(text: str) -> date:
    """Read a day.

    Raises
    ------
    ValueError
        If the text is none as YYYY-MM-DD.
    """
    if not DAY.fullmatch(text):
        raise ValueError("expected a day as YYYY-MM-DD")
    return date.fromisoformat(text)


def midnight(of: date) -> datetime:
    """Give the beginning of a day, local time."""
    return datetime(of.year, of.month, of.day).astimezone()


def bounds(of: date) -> tuple[datetime, datetime]:
    """Give when a day begins and when the next does: 23 to 25 hours, as clocks are changed.

    Raises
    ------
    ValueError, OverflowError
        If no time has so early or late a day.
    """
    return midnight(of), midnight(of + timedelta(days=1))


def cursor(moment: datetime, uid: str) -> str:
    """Name a place in the worklist, so that an address may hold it as it is."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{uid}"


def place(text: str) -> tuple[datetime, str]:
    """Read a place in the worklist.

    Raises
    ------
    ValueError
        If it is none that `cursor` has named.
    """
    moment, _, uid = text.partition("_")
    if not (MOMENT.fullmatch(moment) and UID.fullmatch(uid)):
        raise ValueError("expected a place that an answer has named")
    return datetime.fromisoformat(moment), uid


class _Number(Convertor[int]):
    """A whole number from 1 in a path."""

    regex = "[1-9][0-9]{0,5}"

    def convert(self, value: str) -> int:
        """Read it."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write it."""
        return str(value)


register_url_convertor("number", _Number())
