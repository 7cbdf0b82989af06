"""Read numbers and text from datasets of any sender; name absent, empty and senseless values.

Reading text leaves an element as it was read: once decoded it could not be copied byte by byte.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import MutableSequence
from contextlib import suppress
from datetime import date
from typing import Any

from pydicom import Dataset, Sequence
from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.valuerep import STR_VR, TEXT_VR_DELIMS

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason

UNREADABLE = (
    BytesLengthException,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NotImplementedError,
    RecursionError,
    OSError,
    EOFError,
    struct.error,
)
"""Raised when a value is no value of its representation: pydicom converts on first access."""
ESCAPE = b"\x1b"  #: begins what switches the character set, PS3.5 6.1.2.5
PADDING = " \0\t\r\n"
"""NUL pads UI (PS3.5 6.2); some writers pad all text with it, or with the end of a line."""
MAX_SCANNER = 64  #: characters of the name of a scanner, as the node stores it with a result
LARGEST_IS = 2**31 - 1  #: of an Integer String, PS3.5 6.2
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""Decimal or Integer String (PS3.5 6.2), of any length."""


def floats(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Values of a Decimal String or floating-point attribute.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute`` if it is absent, empty, not finite or has another number of values.
    """
    written = _values(dataset, keyword)
    numbers = [number for value in written if (number := _number(value)) is not None]
    if len(numbers) != count or len(written) != count:
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE,
            f"{count} numbers expected in {keyword}, got {len(numbers)} that are finite"
            if len(written) == count
            else f"{count} numbers expected in {keyword}, got {len(written)}",
        )
    return tuple(numbers)


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Value of an integer attribute; ``default`` stands in where it is absent or empty.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute`` if there is no value and no default, or no single integer.
    """
    written = _values(dataset, keyword)
    if not written and default is not None:
        return default
    numbers = [_number(value) for value in written]
    if len(numbers) != 1 or numbers[0] is None or not numbers[0].is_integer():
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE,
            f"one integer expected in {keyword}, got {len(written)} values",
        )
    return int(numbers[0])


def optional_number(dataset: Dataset, keyword: str, *, least: float, most: float) -> float | None:
    """Value of a number that an analysis can do without.

    Returns
    -------
    float or None
        One finite number from `least` to `most`; None if it is absent or anything else.
    """
    written = _values(dataset, keyword)
    number = _number(written[0]) if len(written) == 1 else None
    return number if number is not None and least <= number <= most else None


def optional_integer(
    dataset: Dataset, keyword: str, *, least: int = -LARGEST_IS - 1, most: int = LARGEST_IS
) -> int | None:
    """Value of an integer that an analysis can do without; None if it is not one in its range."""
    number = optional_number(dataset, keyword, least=least, most=most)
    return None if number is None or not number.is_integer() else int(number)


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Values of an attribute as text, without their padding; none if it is absent or empty.

    Spaces at both ends of every value mean nothing (PS3.5 6.2), of AE, CS, DS, IS, LO and SH
    alike, and NUL behind a UID.
    """
    values = tuple(str(value).strip(PADDING) for value in _values(dataset, keyword))
    return values if any(values) else ()


def text(dataset: Dataset, keyword: str) -> str:
    """Value of an attribute as text, empty if absent; several are joined by a backslash."""
    return "\\".join(texts(dataset, keyword))


def codes(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Values of a Code String, or of a term of LO or SH: upper case, as the standard writes it."""
    return tuple(value.upper() for value in texts(dataset, keyword))


def code(dataset: Dataset, keyword: str) -> str:
    """Value of a Code String, upper case, empty if absent; several are joined by a backslash."""
    return text(dataset, keyword).upper()


def scanner_of(dataset: Dataset) -> str:
    """Name the scanner: its maker and model, printable and cut to `MAX_SCANNER`; empty if absent.

    Results are stored with this name.
    """
    words = f"{text(dataset, 'Manufacturer')} {text(dataset, 'ManufacturerModelName')}".strip()
    return "".join(char if char.isprintable() else " " for char in words)[:MAX_SCANNER].strip()


def peek_text(dataset: Dataset, keyword: str) -> str:
    """Value of a text attribute as it was written, padding included; empty if absent."""
    tag = keyword_dict[keyword]
    value = dataset.get_item(tag).value if tag in dataset else ""
    if not isinstance(value, bytes):
        if isinstance(value, Sequence):
            return ""
        several = isinstance(value, list | tuple) or hasattr(value, "append")
        return "\\".join(map(str, value)) if several else str("" if value is None else value)
    return decode_text(value, dataset.original_character_set)


def decode_text(value: bytes, character_set: str | MutableSequence[str]) -> str:
    """Decode bytes of text; each a letter where they are not of the character set.

    Parameters
    ----------
    character_set
        Names of Python's encodings, as pydicom gives them. Escapes switch between several
        (PS3.5 6.1.2.5).
    """
    declared = [character_set] if isinstance(character_set, str) else list(character_set)
    if ESCAPE in value and len(declared) > 1:
        with suppress(*UNREADABLE):
            return decode_bytes(value, declared, TEXT_VR_DELIMS)
    for encoding in declared:
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
    """Values as a list; none when absent, unreadable or a sequence."""
    try:
        if _is_text(dataset, keyword):
            written = peek_text(dataset, keyword)
            return written.split("\\") if written.strip(PADDING) else []
        value = dataset.get(keyword)
    except UNREADABLE:
        return []
    if value is None or value == "" or isinstance(value, Sequence | Dataset):
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]  # a name is iterable too


def _is_text(dataset: Dataset, keyword: str) -> bool:
    """Say whether an element holds bytes of text; what its VR does not say, the dictionary does."""
    tag = keyword_dict[keyword]
    element = dataset.get_item(tag) if tag in dataset else None
    if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
        return False
    return element.VR in STR_VR or (
        element.VR in {None, "UN", "OB"} and dictionary_VR(tag) in STR_VR
    )


def _number(value: object) -> float | None:
    """One finite number; None for anything else, such as a comma, a unit or NaN."""
    try:
        if isinstance(value, str) and not NUMBER.fullmatch(value.strip(PADDING)):
            return None
        number = float(value.strip(PADDING) if isinstance(value, str) else value)  # type: ignore[arg-type]  # pydicom's own numbers
    except UNREADABLE:
        return None
    return number if math.isfinite(number) else None
