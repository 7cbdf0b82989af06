"""Say in words what became of a series, for readers and administrators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from config.versions import Change
from dicom_node.console.language.translation import _, mark, ngettext
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.reasons import ClosedBy, FailedReason, UnsuitableReason
from pipeline.types import ScannerBounds
from storage.console.series_page import SeriesPage
from storage.console.worklist import Line
from storage.states import DeliveryState, SeriesState

D, S = DeliveryState, SeriesState
SENTENCES = {
    str(code): code.sentence
    for codes in (UnsuitableReason, FailedReason, ClosedBy)
    for code in codes
}


class Mark(StrEnum):
    """Shape of the mark before a state; each has its word beside it."""

    DONE = "ok"
    RUNS = "run"
    NOT = "no"
    FAULT = "bad"
    EYES = "eye"


THERE = (D.ACCEPTED, D.UNCOMMITTED, D.COMMITTED, D.REPLACED)  #: at the destination
STANDINGS = {
    S.RECEIVING: (Mark.RUNS, mark("Receiving")),
    S.STABLE: (Mark.RUNS, mark("Waiting")),
    S.ANALYSING: (Mark.RUNS, mark("Analysing")),
    S.ENCODED: (Mark.RUNS, mark("Sending")),
    S.DELIVERED: (Mark.DONE, mark("Delivered")),
    S.UNSUITABLE: (Mark.NOT, mark("Not analysed")),
    S.FAILED: (Mark.FAULT, mark("Failed")),
    S.FEEDBACK: (Mark.DONE, mark("Reader's answer")),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a series stands: a mark, a word, and a sentence."""

    mark: Mark
    word: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way of a series.

    Attributes
    ----------
    at
        When it was done; None if it is not, or nobody noted it.
    details
        Further sentences.
    """

    mark: Mark
    text: str
    at: datetime | None = None
    details: tuple[str, ...] = ()


def standing(line: Line) -> Standing:
    """Say where a series stands."""
    shape, word = STANDINGS[line.state]
    if is_analysed(line):
        return _sent(line)
    texts = {
        S.RECEIVING: ngettext("{n} image so far", "{n} images so far", line.instances),
        S.STABLE: _("complete, waits for its turn"),
        S.ANALYSING: "",
        S.FEEDBACK: _("kept; it changes no report"),
    }
    return Standing(shape, _(word), texts.get(line.state, reason_sentence(line.reason)))


def is_analysed(line: Line) -> bool:
    """Whether a series has a result of its own, wherever that has arrived."""
    if line.state is S.FAILED:  # so ends a series of which a destination refused a result, too
        return any(D.REFUSED in states for states in line.destinations.values())
    return line.state in {S.ENCODED, S.DELIVERED}


def _sent(line: Line) -> Standing:
    shape, word = STANDINGS[line.state]
    refused = [name for name in line.destinations if D.REFUSED in line.destinations[name]]
    if refused:
        names = ", ".join(sorted(refused))
        return Standing(Mark.FAULT, _("Not delivered"), _("refused by {names}", names=names))
    if not line.destinations:
        return Standing(shape, _("Analysed"), _("no destination is set: it is kept here"))
    arrived = sum(line.arrived(name) for name in line.destinations)
    text = _("{n} of {total} destinations", n=arrived, total=len(line.destinations))
    is_noted = line.state is S.DELIVERED and line.positive
    return Standing(Mark.EYES if is_noted else shape, _(word), text)


def reason_sentence(reason: str) -> str:
    """Give the sentence of a reason's code, or the reason itself."""
    code = reason.partition(":")[0].partition(";")[0].strip()
    return _(SENTENCES[code]) if code in SENTENCES else reason


def decision_words(line: Line) -> str:
    """Say on which side of the threshold, or of the indeterminate range, the score lies."""
    threshold = line.summary.get("threshold")
    if line.score is None or threshold is None:
        return ""
    low = line.summary.get("indeterminate_from")
    value = decimals(float(threshold), line.score)
    least = value if low is None else decimals(float(low), line.score)
    if line.positive is None:
        return _("indeterminate, {low} to {high}", low=least, high=value)
    return _("above {value}", value=value) if line.positive else _("below {value}", value=least)


def scanner_bounds_words(line: Line) -> str:
    """Say whose bounds decide, and why; empty where they are not taken by scanner."""
    said = line.summary.get("scanner_bounds")
    if line.score is None or not said:
        return ""
    names = (field.name for field in fields(ScannerBounds))
    return scanner_words(ScannerBounds(**{name: said[name] for name in names}))


def score_words(line: Line) -> str:
    """Write the score with the digits that tell it from each bound; empty without a score."""
    if line.score is None:
        return ""
    bounds = (line.summary.get("threshold"), line.summary.get("indeterminate_from"))
    shown = [decimals(line.score, float(bound)) for bound in bounds if bound is not None]
    return max(shown, key=len, default=decimals(line.score))


def withheld_words(line: Line) -> str:
    """Say why opacities are not reported; empty where they are, or where there is no result."""
    involvement = line.summary.get("involvement") or {}
    if line.score is None or involvement.get("total", 0.0) is not None:
        return ""
    if line.summary.get("indeterminate_from") is None:
        return _("Opacities are not reported: the score is not above the threshold.")
    if line.positive is None:
        return _("Opacities are not reported: the score is indeterminate.")
    return _("Opacities are not reported: the score is below the indeterminate range.")


def decimals(value: float, other: float | None = None) -> str:
    """Write a score with two decimals, three where two would not tell it from another."""
    if other is not None and value != other and f"{value:.2f}" == f"{other:.2f}":
        return f"{value:.3f}"
    return f"{value:.2f}"


def steps(page: SeriesPage) -> Iterator[Step]:
    """List the steps of a series, from its first image to its destinations."""
    line = page.line
    yield Step(
        Mark.DONE if line.state is not S.RECEIVING else Mark.RUNS,
        ngettext("{n} image received", "{n} images received", line.instances),
        line.last_at,
        (_("from {name}", name=line.calling_ae or _("a sender without a title")),),
    )
    if line.state is S.RECEIVING:
        yield Step(Mark.NOT, _("Not closed yet: it is still being received"))
        return
    for closing in page.closings[:1]:
        late = (_("another image came after that"),) if closing.late_at else ()
        waited = _("after {n} s of waiting", n=f"{closing.waited_seconds:.0f}")
        yield Step(Mark.DONE, _closed(closing.closed_by), closing.closed_at, (waited, *late))
    yield from _analysis(page)
    yield from _deliveries(page)


def _closed(closed_by: str) -> str:
    if closed_by in SENTENCES:
        return _(SENTENCES[closed_by])
    return _("Closed: {reason}", reason=closed_by)  # another version knew others


def _analysis(page: SeriesPage) -> Iterator[Step]:
    line = page.line
    if line.state is S.STABLE:
        yield Step(Mark.RUNS, _("Waits for its analysis"), line.since)
    elif line.state is S.ANALYSING:
        yield Step(Mark.RUNS, _("Is being analysed"), line.since)
    elif line.state is S.UNSUITABLE:
        yield Step(
            Mark.NOT,
            _("Not analysed: {reason}", reason=reason_sentence(line.reason)),
            line.since,
            (line.reason,),
        )
    elif line.state is S.FAILED and not is_analysed(line):
        yield Step(
            Mark.FAULT, _("Failed: {reason}", reason=reason_sentence(line.reason)), line.since
        )
    for result in page.results[:1]:
        what = (
            _("Analysed") if result.score is not None else _("A notice was made: it says why not")
        )
        details: tuple[str, ...] = (
            _("result {n} of {total}", n=result.revision, total=len(page.results)),
        )
        if result.purged_at is not None:
            details += (_("its files were removed by retention"),)
        yield Step(Mark.DONE, what, result.created_at, details)


def _deliveries(page: SeriesPage) -> Iterator[Step]:
    for name, states in sorted(page.line.destinations.items()):
        reasons = tuple(
            dict.fromkeys(
                f"{line.kind}: {line.reason}"
                for line in page.deliveries
                if line.destination == name and line.reason
            )
        )
        shape, text = _delivery(states)
        yield Step(shape, f"{name}: {text}", None, reasons)


def _delivery(states: Mapping[DeliveryState, int]) -> tuple[Mark, str]:
    """Say what a destination has of the objects of a result."""

    def count(*wanted: DeliveryState) -> int:
        return sum(states.get(state, 0) for state in wanted)

    total, waiting = sum(states.values()), count(D.PENDING, D.SENDING)
    if refused := count(D.REFUSED, D.DECLINED):
        return Mark.FAULT, _("{n} of {total} objects refused", n=refused, total=total)
    if waiting:
        there = count(*THERE)
        text = _(
            "{n} of {total} objects are there, {waiting} wait",
            n=there,
            total=total,
            waiting=waiting,
        )
        return Mark.RUNS, text
    if unconfirmed := count(D.UNCOMMITTED):
        text = _("all {total} objects accepted, {n} not confirmed yet", total=total, n=unconfirmed)
        return Mark.RUNS, text
    if count(D.COMMITTED) == total:
        return Mark.DONE, _("{total} of {total} objects accepted and committed", total=total)
    return Mark.DONE, _("{total} of {total} objects accepted", total=total)


def setting_words(change: Change) -> str:
    """Say what was changed of a setting; of a secret its name alone."""
    what = f"[{change.section}] {change.key}"
    if change.secret:
        return f"{what} ({_('not shown')})"
    old, new = (_("(default)") if text is None else text for text in (change.old, change.new))
    return f"{what}: {old} -> {new}"
