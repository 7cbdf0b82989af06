"""Answers to single opacities: one that is none, one that was missed on a slice."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicom_node.console.language.translation import _, mark
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.result.identity import derived_uid
from storage.results.answers import AnswerLine
from storage.results.feedback import NewAnswer

SCHEME = "99CONSOLE"  #: of the reasons that are ours
FALSE, REAL = "false-opacity", "opacity"
MISSED, NOT_MISSED = "missed-opacity", "no-missed-opacity"
REASONS = {
    FALSE: ("rejected", mark("No opacity")),
    REAL: ("accepted", mark("An opacity after all")),
    MISSED: ("modified", mark("An opacity was missed")),
    NOT_MISSED: ("accepted", mark("Nothing was missed after all")),
}
"""Answer, as `pipeline.feedback.answers` has it, and meaning of each reason."""
MOST_MISSED = 20  #: slices that one reader may mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What a reader has said of the opacities of a result.

    Attributes
    ----------
    false
        Numbers of the opacities that are none.
    missed
        Slices, from 1 from below, on which an opacity was missed.
    """

    false: frozenset[int] = frozenset()
    missed: frozenset[int] = frozenset()


def numbered(lesions: Iterable[Mapping[str, Any]]) -> list[int]:
    """List the numbers of the opacities that can be answered to: those with a segment each."""
    return [int(one["number"]) for one in lesions][:MAX_LESION_SEGMENTS]


def marked(answers: Iterable[AnswerLine], *, by: str, result_key: str) -> Marked:
    """Find what a reader has said so far of the opacities of a result, at the console."""
    false, missed = set[int](), set[int]()
    for one in answers:
        is_own = one.reason_scheme == SCHEME and not one.calling_ae and one.observer == by
        if not is_own or not one.stands or one.result_key != result_key:
            continue
        if one.reason_code == FALSE:
            false.add(int(one.finding_name.rpartition("-")[2]))
        elif one.reason_code == MISSED:
            missed.add(int(one.finding_name.rpartition("-")[2]))
    return Marked(false=frozenset(false), missed=frozenset(missed))


def read_marks(form: Mapping[str, str], numbers: Sequence[int], slices: int) -> Marked:
    """Read the form of a page: a tick for each opacity that is one, and the missed slices.

    Raises
    ------
    ValueError
        If a slice is none of the series, or there are too many.
    """
    words = re.split(r"[\s,;]+", form.get("missed", "").strip())
    missed = {_slice(word, slices) for word in words if word}
    if len(missed) > MOST_MISSED:
        raise ValueError(_("At most {n} missed slices, please.", n=MOST_MISSED))
    false = {number for number in numbers if f"opacity-{number}" not in form}
    return Marked(false=frozenset(false), missed=frozenset(missed))


def _slice(word: str, slices: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", word) or not 1 <= int(word) <= slices:
        raise ValueError(_("Missed slices are numbers from 1 to {n}.", n=slices))
    return int(word)


def opacity_answers(
    result_key: str, before: Marked, now: Marked, comment: str
) -> Iterator[NewAnswer]:
    """Yield the answers that lead from what a reader said before to what is said now.

    What is not touched is not answered to: somebody who has not looked has not agreed.
    """

    def answers(code: str, prefix: str, numbers: Collection[int]) -> Iterator[NewAnswer]:
        said, reason = REASONS[code]
        for number in sorted(numbers):
            name = f"{prefix}-{number}"
            yield NewAnswer(
                answer=said,
                subjects=(),
                finding=str(derived_uid(result_key, "tracking", name)),
                finding_name=name,
                reason_code=code,
                reason_scheme=SCHEME,
                reason=reason,
                comment=comment,
            )

    yield from answers(FALSE, "opacity", now.false - before.false)
    yield from answers(REAL, "opacity", before.false - now.false)
    yield from answers(MISSED, "missed-slice", now.missed - before.missed)
    yield from answers(NOT_MISSED, "missed-slice", before.missed - now.missed)
