"""Languages in which results may be written."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Language(StrEnum):
    """A language, by its tag (RFC 5646)."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"


DECIMAL_MARKS: Mapping[Language, str] = MappingProxyType(
    {
        Language.ENGLISH: ".",
        Language.GERMAN: ",",
        Language.FRENCH: ",",
        Language.SPANISH: ",",
    }
)
"""Between the whole and the fraction of a number."""

DATES: Mapping[Language, str] = MappingProxyType(
    {
        Language.ENGLISH: "%Y-%m-%d",
        Language.GERMAN: "%d.%m.%Y",
        Language.FRENCH: "%d/%m/%Y",
        Language.SPANISH: "%d/%m/%Y",
    }
)
"""Form of a date, as `strftime` takes it; English is read in both orders, so it has ISO 8601."""
