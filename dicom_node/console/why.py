"""Answer "why is there no result?" in one sentence that a radiologist understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.console.language.translation import _, mark
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
    headline=mark("No series of this study has come here."),
    text=mark(
        "Its images were not sent to this node, or under another number, or before the node kept"
        " accession numbers: then the study's UID finds them. Ask who routes images: the page of"
        " senders shows who was turned away, and why."
    ),
    standing=Standing(Mark.NOT, mark("Not here")),
)


def answer(lines: Sequence[Line]) -> Answer:
    """Answer for the series of a study."""
    known = [line for line in lines if line.state in ORDER]
    if not known:
        told = Standing(NOTHING_CAME.standing.mark, _(NOTHING_CAME.standing.word))
        headline, text = _(NOTHING_CAME.headline), _(NOTHING_CAME.text)
        return Answer(headline=headline, text=text, standing=told)
    line = min(known, key=lambda one: (ORDER.index(one.state), -one.instances))
    told = standing(line)
    headline = _(UNDELIVERED if _is_undelivered(line) else HEADLINES[line.state])
    return Answer(headline=headline, text=_text(line, told), standing=told, line=line)


UNDELIVERED = mark("There is a result: it did not arrive everywhere.")


def _is_undelivered(line: Line) -> bool:
    return line.state is S.FAILED and is_analysed(line)


HEADLINES = {
    S.DELIVERED: mark("There is a result: it was delivered."),
    S.ENCODED: mark("There is a result: it is on its way."),
    S.ANALYSING: mark("It is being analysed now."),
    S.STABLE: mark("It waits for its analysis."),
    S.RECEIVING: mark("Its images are still coming."),
    S.FAILED: mark("There is no result: the analysis failed."),
    S.UNSUITABLE: mark("There is no result: the series is not one that is analysed."),
}


def _text(line: Line, told: Standing) -> str:
    if is_analysed(line):
        return _where(line, told)
    match line.state:
        case S.DELIVERED | S.ENCODED:
            return told.text
        case S.RECEIVING:
            return _(
                "{n} images are here. Analysis begins when the series is complete.",
                n=line.instances,
            )
        case S.STABLE | S.ANALYSING:
            return _("The result follows by itself.")
        case S.FAILED:
            return f"{told.text} {_('An administrator can have it analysed again.')}"
        case _:
            return told.text


def _where(line: Line, told: Standing) -> str:
    if not line.destinations:
        return _("No destination is set: it is kept here.")
    missing = [name for name in line.destinations if not line.arrived(name)]
    if not missing:
        return _("All of it is at {names}.", names=", ".join(sorted(line.destinations)))
    names = ", ".join(sorted(missing))
    return _("Not all of it is at {names} yet: {reason}.", names=names, reason=told.text)
