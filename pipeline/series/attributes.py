"""Read numbers and text from datasets of any sender; name absent, empty and senseless values."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from pydicom import Dataset, Sequence
from pydicom.datadict import keyword_dict

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason

UNREADABLE = (TypeError, ValueError, ArithmeticError, LookupError, NotImplementedError, OSError)
"""Raised when a value is no value of its representation: pydicom converts on first access."""
LARGEST_IS = 2**31 - 1  #: of an Integer String, PS3.5 6.2


def floats(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Values of a Decimal String or floating-point attribute.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute`` if it is absent, empty, not finite or has another number of values.
    """
    values = _values(dataset, keyword)
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE,
            f"{count} numbers expected in {keyword}, got {len(numbers)} that are finite"
            if len(values) == count
            else f"{count} numbers expected in {keyword}, got {len(values)}",
        )
    return numbers


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Value of an integer attribute; ``default`` stands in where it is absent or empty.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute`` if there is no value and no default, or no single integer.
    """
    values = _values(dataset, keyword)
    if not values and default is not None:
        return default
    try:
        (number,) = [int(value) for value in values]
    except (TypeError, ValueError):
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE,
            f"one integer expected in {keyword}, got {len(values)} values",
        ) from None
    return number


def optional_number(dataset: Dataset, keyword: str, *, least: float, most: float) -> float | None:
    """Value of a Decimal String that an analysis can do without.

    Returns
    -------
    float or None
        One finite number from `least` to `most`; None if it is absent or anything else.
    """
    try:
        (number,) = (float(value) for value in _values(dataset, keyword))
    except UNREADABLE:
        return None
    return number if least <= number <= most else None


def optional_integer(dataset: Dataset, keyword: str) -> int | None:
    """Value of an Integer String that an analysis can do without; None if it is not one."""
    number = optional_number(dataset, keyword, least=-LARGEST_IS - 1, most=LARGEST_IS)
    return None if number is None or not number.is_integer() else int(number)


def text(dataset: Dataset, keyword: str) -> str:
    """Value of a text attribute, empty if absent; several are joined by a backslash."""
    return "\\".join(str(value) for value in _values(dataset, keyword)).strip()


def peek_text(dataset: Dataset, keyword: str) -> str:
    """Value of a text attribute, empty if absent; the element is left as it was read.

    Once decoded in place it could not be copied byte by byte.
    """
    tag = keyword_dict[keyword]
    value = dataset.get_item(tag).value if tag in dataset else ""
    if not isinstance(value, bytes):
        several = isinstance(value, list | tuple) or hasattr(value, "append")
        return "\\".join(map(str, value)) if several else str(value or "")
    declared = dataset.original_character_set
    for encoding in [declared] if isinstance(declared, str) else declared:
        try:
            return value.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    return value.decode("latin-1")


def calendar_date(value: str) -> date | None:
    """Read a Date (DA, PS3.5 6.2); None for anything that is no day of the calendar."""
    try:
        return date.fromisoformat(value) if re.fullmatch(r"[0-9]{8}", value) else None
    except ValueError:
        return None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence attribute; none if it is absent, unreadable or no sequence."""
    try:
        value = dataset.get(keyword)
    except UNREADABLE:
        return []
    return list(value) if isinstance(value, Sequence) else []


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    """Values as a list; none when absent or unreadable."""
    try:
        value = dataset.get(keyword)
    except UNREADABLE:
        return []
    if value is None or value == "":
        return []
    if isinstance(value, str | bytes | int | float) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)
