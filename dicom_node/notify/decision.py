"""Decide what a recipient is told now: each matter once, and not too often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dicom_node.notify.matters import Matter
from dicom_node.notify.recipients import Recipient, Subject

MOST_LINES = 30  #: of one message

FOOT = (
    "No patient data are sent. A result is found by its reference: in the search of the console, or"
    " by `dicom-node series list --reference REFERENCE`. Research use only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How often is told.

    Attributes
    ----------
    gap
        Shortest time between two messages to one recipient; what comes meanwhile is in the next.
    again
        After which what lasts is told again; None for never.
    source
        Who tells: our AE title.
    """

    gap: timedelta
    again: timedelta | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldMatter:
    """A matter that a recipient was told of.

    Attributes
    ----------
    at
        When, the last time.
    """

    subject: Subject
    text: str
    lasting: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a recipient was told, by key of the matter.

    Attributes
    ----------
    tried_at
        When the latest message was sent, or was to be; None for never.
    """

    tried_at: datetime | None = None
    matters: Mapping[str, ToldMatter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message, and what its recipient has been told once it has arrived."""

    title: str
    body: str
    told: Mapping[str, ToldMatter]


def message_for(
    recipient: Recipient,
    matters: Iterable[Matter],
    told: Told,
    now: datetime,
    rules: Rules,
    *,
    unknown: Collection[Subject] = (),
) -> Message | None:
    """Make the message that a recipient gets now; None for none. What finds no room is due next.

    Parameters
    ----------
    unknown
        Subjects of which it is not known how they stand: they are left as they were.
    """
    if must_wait(told, now, rules):
        return None
    present = {one.key: one for one in matters if one.subject in recipient.subjects}
    fresh = [one for one in present.values() if _is_due(told.matters.get(one.key), now, rules)]
    over = [
        one
        for key, one in told.matters.items()
        if one.lasting
        and key not in present
        and one.subject in recipient.subjects
        and one.subject not in unknown
    ]
    if not (fresh or over):
        return None
    more = len(fresh) + len(over) - MOST_LINES
    room = max(0, MOST_LINES - len(fresh))
    fresh, over, later = fresh[:MOST_LINES], over[:room], over[room:]
    lines = [f"- {one.text}" for one in fresh] + [f"- over: {one.text}" for one in over]
    if more > 0:
        lines.append(f"- and {more} more, in the next message")
    kept = {
        key: one
        for key, one in told.matters.items()
        if key in present or one.subject in unknown or one in later
    }
    new = {
        one.key: ToldMatter(subject=one.subject, text=one.text, lasting=one.lasting, at=now)
        for one in fresh
    }
    return Message(
        title=f"dicom-node {rules.source}: {_heading(fresh, over)}",
        body="\n".join([*lines, "", FOOT]),
        told={**kept, **new},
    )


def must_wait(told: Told, now: datetime, rules: Rules) -> bool:
    """Say whether it is too early for another message, whatever there is to tell."""
    return told.tried_at is not None and timedelta(0) <= now - told.tried_at < rules.gap


def _is_due(before: ToldMatter | None, now: datetime, rules: Rules) -> bool:
    if before is None:
        return True
    return before.lasting and rules.again is not None and now - before.at >= rules.again


def _heading(fresh: Collection[Matter], over: Collection[ToldMatter]) -> str:
    counts = Counter(one.subject for one in fresh)
    parts = [f"{counts[subject]} {subject}" for subject in Subject if counts[subject]]
    return ", ".join([*parts, *([f"{len(over)} over"] if over else [])])
