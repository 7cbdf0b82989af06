"""Deciding what a recipient is told: once, together, not too often, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dicom_node.notify.decision import MOST_LINES, Message, Rules, Told, message_for
from dicom_node.notify.matters import Matter
from dicom_node.notify.recipients import Recipient, Subject

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GAP = timedelta(minutes=10)
RULES = Rules(gap=GAP, again=timedelta(hours=24), source="AINODE")
IT = Recipient(
    line=1, subjects=frozenset(Subject) - {Subject.POSITIVES}, url="mailto://it@example.org"
)
ENGINE = Matter(subject=Subject.FAULTS, key="fault engine", text="engine: away", lasting=True)
FAILURE = Matter(subject=Subject.FAILURES, key="failure 1", text="a series failed", lasting=False)
BACKLOG = Matter(subject=Subject.BACKLOG, key="backlog", text="waits", lasting=True)
POSITIVE = Matter(subject=Subject.POSITIVES, key="positive 1", text="positive", lasting=False)


def told_of(message: Message | None, at: datetime) -> Told:
    assert message is not None
    return Told(tried_at=at, matters=message.told)


def lines(message: Message | None) -> list[str]:
    return [] if message is None else [one for one in message.body.splitlines() if one[:2] == "- "]


def test_what_is_new_is_told_together_and_only_what_the_rule_names() -> None:
    message = message_for(IT, [ENGINE, FAILURE, POSITIVE], Told(), NOW, RULES)

    assert lines(message) == ["- engine: away", "- a series failed"]
    assert message is not None
    assert message.title == "dicom-node AINODE: 1 faults, 1 failures"


def test_what_was_told_is_not_told_again() -> None:
    told = told_of(message_for(IT, [ENGINE, FAILURE], Told(), NOW, RULES), NOW)

    assert message_for(IT, [ENGINE, FAILURE], told, NOW + timedelta(hours=1), RULES) is None


def test_what_comes_soon_after_a_message_waits_for_the_next_one() -> None:
    told = told_of(message_for(IT, [ENGINE], Told(), NOW, RULES), NOW)

    assert message_for(IT, [ENGINE, FAILURE], told, NOW + GAP / 2, RULES) is None
    assert lines(message_for(IT, [ENGINE, FAILURE], told, NOW + GAP, RULES)) == [
        "- a series failed"
    ]


def test_a_clock_set_back_holds_up_nothing() -> None:
    told = told_of(message_for(IT, [ENGINE], Told(), NOW, RULES), NOW)

    assert message_for(IT, [ENGINE, FAILURE], told, NOW - timedelta(days=1), RULES) is not None


def test_what_lasts_is_told_again_after_a_day_and_an_event_is_not() -> None:
    told = told_of(message_for(IT, [ENGINE, FAILURE], Told(), NOW, RULES), NOW)
    tomorrow = NOW + timedelta(hours=24)

    assert lines(message_for(IT, [ENGINE, FAILURE], told, tomorrow, RULES)) == ["- engine: away"]
    once = Rules(gap=GAP, again=None, source="AINODE")
    assert message_for(IT, [ENGINE, FAILURE], told, tomorrow, once) is None


def test_the_end_of_what_lasts_is_told_once_and_that_of_an_event_is_none() -> None:
    told = told_of(message_for(IT, [ENGINE, FAILURE], Told(), NOW, RULES), NOW)
    later = NOW + GAP
    message = message_for(IT, [], told, later, RULES)

    assert lines(message) == ["- over: engine: away"]
    assert message_for(IT, [], told_of(message, later), later + GAP, RULES) is None


def test_what_cannot_be_known_is_neither_over_nor_forgotten() -> None:
    told = told_of(message_for(IT, [ENGINE, FAILURE, BACKLOG], Told(), NOW, RULES), NOW)
    later = NOW + GAP

    other = Matter(subject=Subject.FAULTS, key="fault database", text="database", lasting=True)
    message = message_for(
        IT, [other, ENGINE], told, later, RULES, unknown={Subject.FAILURES, Subject.BACKLOG}
    )
    assert lines(message) == ["- database"]
    again = told_of(message, later)
    assert message_for(IT, [other, ENGINE, FAILURE, BACKLOG], again, later + GAP, RULES) is None


def test_a_message_has_an_end() -> None:
    many = [
        Matter(subject=Subject.FAILURES, key=f"failure {one}", text="failed", lasting=False)
        for one in range(MOST_LINES + 5)
    ]
    message = message_for(IT, many, Told(), NOW, RULES)

    assert lines(message)[-1] == "- and 5 more, in the next message"
    told, later = told_of(message, NOW), NOW + GAP
    rest = message_for(IT, many, told, later, RULES)
    assert lines(rest) == ["- failed"] * 5
    assert message_for(IT, many, told_of(rest, later), later + GAP, RULES) is None


def test_ends_that_found_no_room_are_in_the_next_message() -> None:
    told = told_of(message_for(IT, [ENGINE, BACKLOG], Told(), NOW, RULES), NOW)
    many = [
        Matter(subject=Subject.FAILURES, key=f"failure {one}", text="failed", lasting=False)
        for one in range(MOST_LINES - 1)
    ]
    later = NOW + GAP
    message = message_for(IT, many, told, later, RULES)
    assert lines(message)[-2:] == ["- over: engine: away", "- and 1 more, in the next message"]

    rest = message_for(IT, many, told_of(message, later), later + GAP, RULES)
    assert lines(rest) == ["- over: waits"]


def test_what_is_of_a_subject_no_more_is_not_over() -> None:
    told = told_of(message_for(IT, [ENGINE], Told(), NOW, RULES), NOW)
    other = replace(IT, subjects=frozenset({Subject.FAILURES}))

    assert message_for(other, [ENGINE], told, NOW + GAP, RULES) is None
