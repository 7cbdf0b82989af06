"""Name the answer of a kept result, as exports, status and API do."""

from __future__ import annotations


def answer_of(score: float | None, positive: bool | None) -> str:
    """Name the answer; empty without a score."""
    if score is None:
        return ""
    return {True: "above", False: "below", None: "indeterminate"}[positive]
