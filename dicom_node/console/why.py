"""Answer "why is there no result?" in one sentence that a radiologist understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.console.words import Mark, Standing, is_analysed, standing
from storage.console.worklist import Line
from storage.states import SeriesState

S = SeriesState
ORDER = (S.DELIVERED, S.ENCODED, S.ANALYSING, S.STABLE, S.RECEIVING, S.FAILED, S.UNSUITABLE)
"""Of several series of a study, the one that is closest to a result answers the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for a study.

    Attributes
    ----------
    line
        The series that it is about; None if none came.
    """

    headline: str
    text: str
    standing: Standing
    line: Line | None = None


NOTHING_CAME = Answer(
    headline="No series of this study has come here.",
    text="Its images were not sent to this node, or under another number, or before the node kept"
    " accession numbers: then the study's UID finds them. Ask who routes images: the page of"
    " senders shows who was turned away, and why.",
    standing=Standing(Mark.NOT, "Not here"),
)


def answer(lines: Sequence[Line]) -> Answer:
    """Answer for the series of a study."""
    known = [line for line in lines if line.state in ORDER]
    if not known:
        return NOTHING_CAME
    line = min(known, key=lambda one: (ORDER.index(one.state), -one.instances))
    told = standing(line)
    headline = UNDELIVERED if _is_undelivered(line) else HEADLINES[line.state]
    return Answer(headline=headline, text=_text(line, told), standing=told, line=line)


UNDELIVERED = "There is a result: it did not arrive everywhere."


def _is_undelivered(line: Line) -> bool:
    return line.state is S.FAILED and is_analysed(line)


HEADLINES = {
    S.DELIVERED: "There is a result: it was delivered.",
    S.ENCODED: "There is a result: it is on its way.",
    S.ANALYSING: "It is being analysed now.",
    S.STABLE: "It waits for its analysis.",
    S.RECEIVING: "Its images are still coming.",
    S.FAILED: "There is no result: the analysis failed.",
    S.UNSUITABLE: "There is no result: the series is not one that is analysed.",
}


def _text(line: Line, told: Standing) -> str:
    if is_analysed(line):
        return _where(line, told)
    match line.state:
        case S.DELIVERED | S.ENCODED:
            return told.text
        case S.RECEIVING:
            return f"{line.instances} images are here. Analysis begins when the series is complete."
        case S.STABLE | S.ANALYSING:
            return "The result follows by itself."
        case S.FAILED:
            return f"{told.text} An administrator can have it analysed again."
        case _:
            return told.text


def _where(line: Line, told: Standing) -> str:
    if not line.destinations:
        return "No destination is set: it is kept here."
    missing = [name for name in line.destinations if not line.arrived(name)]
    if not missing:
        return f"All of it is at {', '.join(sorted(line.destinations))}."
    return f"Not all of it is at {', '.join(sorted(missing))} yet: {told.text}."
