"""Words for reasons that are made from data: short, whatever the data hold."""

from __future__ import annotations

from collections.abc import Sequence

EXAMPLES = 3  #: named in a sentence; of the others it says how many there are
LONGEST_REASON = 300  #: characters
ELLIPSIS = "..."


def examples(found: Sequence[str]) -> str:
    """Name the first three of what was found, and count the others."""
    named = ", ".join(found[:EXAMPLES])
    more = len(found) - EXAMPLES
    return f"{named} and {more} more" if more > 0 else named


def bounded(text: str, longest: int = LONGEST_REASON) -> str:
    """Text cut to a length, with an ellipsis where something is left out."""
    return text if len(text) <= longest else text[: longest - len(ELLIPSIS)] + ELLIPSIS


def unlike(expected: float, got: float, digits: int = 1) -> tuple[str, str]:
    """Write two different numbers with so many decimals that they differ as shown."""
    for decimals in range(digits, 10):
        pair = f"{expected:.{decimals}f}", f"{got:.{decimals}f}"
        if pair[0] != pair[1]:
            return pair
    return f"{expected:.{digits}f}", f"{got:.{digits}f}"
