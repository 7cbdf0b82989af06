"""Show the overview of the command `status`: series, deliveries, refusals and quarantine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

from dicom_node.health import ACTIVE, STANDBY, Condition
from dicom_node.node_status import FEEDBACK_DAYS, Disk, NodeStatus, Paused, ReceiverStatus
from storage.overview import Overview, RefusalLine, SeriesLine
from storage.results.answers import AnswerCounts, AnswerLine
from storage.states import DeliveryState, SeriesState

State = TypeVar("State", SeriesState, DeliveryState)

NO_ANSWERS = AnswerCounts(standing=MappingProxyType({}), mismatched=0)
NOTHING_PAUSED: Mapping[str, Paused] = MappingProxyType({})
ANSWERS = {
    "accepted": "accepted by a reader",
    "rejected": "rejected by a reader",
    "modified": "modified by a reader",
    "revoked": "no longer rejected",
    "expired": "removed from the archive",
    "unclear": "answered to by a reader, unclearly",
}
"""Answers in words; the answers of `pipeline.feedback.answers`."""
COLOURS = {
    "delivered": "green",
    "failed": "bold red",
    "unsuitable": "yellow",
    "encoded": "cyan",
    "analysing": "magenta",
}


def as_json(status: NodeStatus) -> str:
    """Status as JSON, for machines."""
    return json.dumps(asdict(status), default=_plain, indent=2)


def _plain(value: object) -> str | dict[str, object]:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return str(value)


def show_condition(
    condition: Condition | None, console: Console, now: datetime, *, running: bool
) -> None:
    """Print what is out of order in the node, since when and why."""
    if not running:
        console.print("[bold red]the node is not running[/]: nothing is received, analysed or sent")
        return
    if condition is None:
        return
    if condition.is_stale(now):
        console.print(
            f"[bold red]the node has not told its condition since {_at(condition.written_at)}[/]",
            highlight=False,
        )
    for fault in condition.faults:
        times = f" ({fault.count} times)" if fault.count > 1 else ""
        console.print(
            f"[bold red]{_plain_text(fault.part)}[/] since {_at(fault.since)}:"
            f" {_plain_text(fault.reason)}{times}",
            highlight=False,
        )


def show(
    overview: Overview,
    disk: Disk,
    console: Console,
    *,
    answers: AnswerCounts = NO_ANSWERS,
    paused: Mapping[str, Paused] = NOTHING_PAUSED,
) -> None:
    """Print the overview for people, with the number of answers of readers to results."""
    if disk.free_gb < disk.reserve_gb:
        console.print(
            f"[bold red]disk: {disk.free_gb:.1f} GB free, the reserve is {disk.reserve_gb:g} GB: "
            "instances are refused (A700)[/]",
            highlight=False,
        )
    console.print(_totals("series", overview.states), _totals("deliveries", overview.deliveries))
    if counts := _answer_counts(answers):
        console.print(f"answers of readers in {FEEDBACK_DAYS} days: {_plain_text(counts)}.")
    _show_pauses(paused, console)
    for line in overview.series:
        console.print("\n".join(_series(line)), highlight=False)
    if overview.refusals:
        console.print("\n[bold]refused[/]")
    for refusal in overview.refusals:
        console.print(
            f"{_at(refusal.last_at)}  {refusal.count} x from {_caller(refusal)}:"
            f" {refusal.what}: {refusal.reason}",
            highlight=False,
            markup=False,
        )
    if overview.quarantine:
        console.print("\n[bold]quarantine[/]")
    for file in overview.quarantine:
        console.print(
            f"{_at(file.at)}  from {file.calling_ae}: {file.reason}\n    {file.path}",
            highlight=False,
            markup=False,
        )


def show_receivers(receivers: Sequence[ReceiverStatus], console: Console) -> None:
    """Print which receivers share the folder, and which of them analyses and delivers."""
    if not receivers:
        return
    console.print("\n[bold]receivers[/]")
    for one in receivers:
        console.print(
            f"{one.name}: {ACTIVE if one.active else STANDBY}, on {one.host}, process {one.pid},"
            f" version {one.version}, since {_at(one.since)}",
            highlight=False,
            markup=False,
        )
    if not any(one.active for one in receivers):
        console.print("[bold red]none of them is active[/]: nothing is analysed or sent")


def _show_pauses(paused: Mapping[str, Paused], console: Console) -> None:
    """Print which destinations get nothing."""
    for name, one in paused.items():
        console.print(
            f"[yellow]{_plain_text(name)} is paused[/] since {_at(one.at)} by"
            f" {_plain_text(one.by)}: what waits for it stays",
            highlight=False,
        )


def _answer_counts(answers: AnswerCounts) -> str:
    words = [f"{count} {answer}" for answer, count in answers.standing.items()]
    if answers.mismatched:
        words.append(f"{answers.mismatched} of another patient or study, not counted")
    return ", ".join(words)


def _caller(refusal: RefusalLine) -> str:
    """AE title and address of a caller, as far as they are known."""
    title = refusal.calling_ae or "(no title)"
    return f"{title} at {refusal.address}" if refusal.address else title


def _series(line: SeriesLine) -> Iterator[str]:
    """Yield the lines of a series: state, UID, reason, and deliveries that are not done."""
    yield "\n" + "  ".join(_state_words(line))
    yield f"    {line.series_instance_uid}"
    if line.reason:
        yield f"    {_plain_text(line.reason)}"
    for remark in line.remarks:
        tries = f" ({remark.attempts} tries)" if remark.attempts > 1 else ""
        text = f"{remark.destination}: {remark.count} {remark.state}: {remark.reason}{tries}"
        yield f"    {_plain_text(text)}"
    answers = Counter(answer_words(answer, line.revision) for answer in line.answers)
    for words, count in answers.items():
        yield f"    {_plain_text(words)}{f' ({count} answers)' if count > 1 else ''}"


def answer_words(answer: AnswerLine, revision: int | None) -> str:
    """Say an answer in a line, such as ``opacity-3 rejected by a reader: quality``.

    Parameters
    ----------
    revision
        Of the latest result; an answer to another one says to which.
    """
    is_latest = answer.is_about_images or answer.revision == revision
    of = "" if is_latest else f" of revision {answer.revision}"
    said = answer.reason or answer.reason_code
    reason = f": {said}" if said else ""
    others = " and ".join(answer.mismatch)
    mismatch = f" (not counted: the document is of another {others})" if others else ""
    return f"{_subject(answer)}{of} {ANSWERS.get(answer.answer, answer.answer)}{reason}{mismatch}"


def _subject(answer: AnswerLine) -> str:
    """Say what an answer is about: a finding, some objects of a result, all of it, or images."""
    if answer.finding:
        return answer.finding_name or "a finding that is not known"
    if answer.is_about_images:
        return "images"
    return " and ".join(answer.kinds) or "result"


def _state_words(line: SeriesLine) -> list[str]:
    """State of a series, its instances, and its results, piece by piece."""
    colour = COLOURS.get(line.state, "white")
    words = [f"{_at(line.last_at)}  [{colour}]{line.state:<10}[/]"]
    words.append(f"{line.instances} {_plain_text(line.modality)} instances from {line.calling_ae}")
    if line.generation > 1:
        words.append(f"generation {line.generation}")
    if line.score is not None:
        earlier = line.result_generation != line.generation
        of = f" (of generation {line.result_generation})" if earlier else ""
        words.append(f"score {line.score:.3f}{of}")
    elif line.result_key is not None:
        words.append("notice that it was not analysed")
    if line.revision is not None and line.revision > 1:
        words.append(f"revision {line.revision}")
    if line.priors:
        words.append(f"compared with {line.priors} earlier")
    if line.wish is not None:
        words.append(f"{line.wish} wished")
    if line.deliveries:
        words.append(f"deliveries: {_counts(line.deliveries)}")
    return words


def _plain_text(value: str) -> str:
    """Escape text from the network: nothing of it may control a terminal."""
    return escape("".join(char if char.isprintable() else "?" for char in value))


def _totals(title: str, counts: Mapping[State, int]) -> str:
    return f"{title}: {_counts(counts) or 'none'}."


def _counts(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in counts.items())


def _at(moment: datetime) -> str:
    return moment.astimezone().strftime("%m-%d %H:%M:%S")
