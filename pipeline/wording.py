"""Words for reasons that are made from data: short, whatever the data hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

EXAMPLES = 3  #: named in a sentence; of the others it says how many there are
LONGEST_REASON = 300  #: characters
ELLIPSIS = "..."
MORE_DIGITS = 9  #: tried until a figure shows on which side of a bound it lies


def examples(found: Sequence[str]) -> str:
    """Name the first three of what was found, and count the others."""
    named = ", ".join(found[:EXAMPLES])
    more = len(found) - EXAMPLES
    return f"{named} and {more} more" if more > 0 else named


def bounded(text: str, longest: int = LONGEST_REASON) -> str:
    """Text cut to a length, with an ellipsis where something is left out."""
    return text if len(text) <= longest else text[: longest - len(ELLIPSIS)] + ELLIPSIS


def figure(value: float, *bounds: float, digits: int = 2, form: Literal["f", "g"] = "f") -> str:
    """Write a number with so many digits that it stands on its side of each bound as shown.

    Parameters
    ----------
    digits
        The fewest; behind the point with ``f``, in all with ``g``.
    """
    text = f"{value:.{digits}{form}}"
    for more in range(digits, digits + MORE_DIGITS):
        text = f"{value:.{more}{form}}"
        shown = float(text)
        if all((shown < b) == (value < b) and (shown > b) == (value > b) for b in bounds):
            break
    return text
