"""Tell which text is legal in a value representation (PS3.5 6.2), and mend what is not.

A mended value means the same: spaces taken off, a date in the digits of today, a number in fewer
characters. What has no legal form of the same meaning has none here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pydicom.config import RAISE
from pydicom.valuerep import format_number_as_ds, validate_value

from pipeline.series.attributes import LARGEST_IS, NUMBER, PADDING, calendar_date

SINGLE = frozenset({"ST", "LT", "UT", "UR"})  #: a backslash is part of the one value
ENCODED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Text in the Specific Character Set; all other text is ASCII (PS3.5 6.1.2.3)."""
CONTROLS = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")  #: ESC switches character sets
CONTROLS_OF_PROSE = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
"""Text of many lines may hold tabulator, line feed, form feed and carriage return besides."""
PROSE = frozenset({"ST", "LT", "UT"})
OLD_DATE = re.compile(r"(\d{4})[-./:](\d{2})[-./:](\d{2})", re.ASCII)
"""Date with separators: of ACR-NEMA (PS3.5 6.2, note 1 of DA), or as people write it."""
CLOCK = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", re.ASCII)  #: of ACR-NEMA, as above
SHORT_AGE = re.compile(r"(\d{1,3})([DWMYdwmy])", re.ASCII)


def is_legal(vr: str, value: str) -> bool:
    """Say whether one value, without an even length's padding, is legal in its representation."""
    controls = CONTROLS_OF_PROSE if vr in PROSE else CONTROLS
    if not value or controls.search(value):
        return not value
    try:
        validate_value(vr, value, RAISE)
    except ValueError:
        return False
    return vr not in _BESIDES or _BESIDES[vr](value)


def legal_form(vr: str, value: str) -> str | None:
    """Return a value in a legal form of the same meaning; None if it has none."""
    bare = value.strip(PADDING)
    if is_legal(vr, bare):
        return bare
    mended = _MENDED[vr](bare) if vr in _MENDED else None
    return mended if mended is not None and is_legal(vr, mended) else None


def _date(value: str) -> str | None:
    found = OLD_DATE.fullmatch(value)
    return "".join(found.groups()) if found else None


def _time(value: str) -> str | None:
    found = CLOCK.fullmatch(value)
    whole, point, fraction = (
        "".join(part or "" for part in found.groups()) if found else value
    ).partition(".")
    return whole + point + fraction[:6]


def _age(value: str) -> str | None:
    found = SHORT_AGE.fullmatch(value)
    return f"{int(found[1]):03d}{found[2].upper()}" if found else None


def _number(value: str) -> str | None:
    return format_number_as_ds(float(value)) if _is_finite(value) else None


def _integer(value: str) -> str | None:
    whole = _is_finite(value) and float(value).is_integer()
    return str(int(float(value))) if whole else None


def _is_finite(value: str) -> bool:
    return bool(NUMBER.fullmatch(value)) and abs(float(value)) < float("inf")


_BESIDES: Mapping[str, Callable[[str], bool]] = {
    "DA": lambda value: calendar_date(value) is not None,
    "IS": lambda value: abs(int(value)) <= LARGEST_IS,
    "TM": lambda value: "-" not in value,  # ranges are for queries only
}
"""Conditions that pydicom leaves out."""

_MENDED: Mapping[str, Callable[[str], str | None]] = {
    "AS": _age,
    "CS": str.upper,
    "DA": _date,
    "DS": _number,
    "IS": _integer,
    "TM": _time,
}
