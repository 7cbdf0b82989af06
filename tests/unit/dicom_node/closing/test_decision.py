"""A series is closed by the strongest proof that holds, and by none that is contradicted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.closing.decision import (
    NAMING,
    SETTLED_SECONDS,
    WEAKER,
    ClosingRules,
    Counted,
    Ends,
    Named,
    SeriesEvidence,
    decide,
)
from pipeline.reasons import ClosedBy

HERE = frozenset({"1", "2", "3"})
RULES = ClosingRules(quiet_seconds=60, regular_seconds=5)
CHEST = SeriesEvidence(
    instances=HERE,
    quiet_seconds=5,
    images=3,
    is_whole_chest=True,
    is_regular=True,
    ends=Ends.OUTSIDE,
)
BARE = SeriesEvidence(instances=HERE, quiet_seconds=SETTLED_SECONDS, images=3)
OVER = replace(CHEST, is_of_earlier_day=True, quiet_seconds=SETTLED_SECONDS)
STEP = Named(by=ClosedBy.PROCEDURE_STEP, instances=HERE)
ARCHIVE = Named(by=ClosedBy.AVAILABILITY, instances=HERE)
WORK_ITEM = Named(by=ClosedBy.WORK_ITEM, instances=HERE)
CONFIRMED = Counted(count=3, is_confirmed=True)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (replace(BARE, named=(STEP,)), ClosedBy.PROCEDURE_STEP),
        (replace(BARE, named=(STEP,), quiet_seconds=0.9), None),
        (replace(BARE, named=(replace(STEP, final=False),)), None),
        (replace(BARE, named=(replace(STEP, instances=HERE | {"4"}),)), None),
        (replace(BARE, named=(replace(STEP, instances=frozenset({"1", "2"})),)), None),
        # a work item may have been made of a part: it says no more than an archive does
        (replace(BARE, named=(WORK_ITEM,)), None),
        (replace(OVER, named=(WORK_ITEM,)), ClosedBy.WORK_ITEM),
        (replace(OVER, named=(WORK_ITEM,), is_of_earlier_day=False), None),
        (replace(OVER, named=(replace(WORK_ITEM, was_told_before=False),)), None),
        (replace(OVER, named=(replace(WORK_ITEM, instances=HERE | {"4"}),)), None),
        (replace(OVER, named=(WORK_ITEM, replace(STEP, final=False))), None),
        (replace(OVER, named=(WORK_ITEM, replace(STEP, instances=HERE | {"4"}))), None),
        (replace(OVER, announced=9, named=(WORK_ITEM,)), None),
        # two steps name it together
        (
            replace(
                BARE,
                named=(
                    replace(STEP, instances=frozenset({"1"})),
                    replace(STEP, instances=frozenset({"2", "3"})),
                ),
            ),
            ClosedBy.PROCEDURE_STEP,
        ),
        # the scanner's word stands, whatever an archive lacks or has besides
        (
            replace(BARE, named=(STEP,), counted=Counted(count=4, is_confirmed=False)),
            ClosedBy.PROCEDURE_STEP,
        ),
        # an archive knows what it has, not what is still to come
        (replace(BARE, named=(ARCHIVE,)), None),
        (replace(OVER, named=(ARCHIVE,)), ClosedBy.AVAILABILITY),
        (replace(OVER, named=(replace(ARCHIVE, was_told_before=False),)), None),
        (
            replace(OVER, named=(replace(ARCHIVE, was_told_before=False),), quiet_seconds=5),
            ClosedBy.AVAILABILITY,
        ),
        (
            replace(OVER, named=(replace(STEP, was_told_before=False),)),
            ClosedBy.PROCEDURE_STEP,
        ),
        (replace(OVER, counted=CONFIRMED), ClosedBy.ARCHIVE_COUNT),
        (replace(OVER, counted=CONFIRMED, is_being_sent=True), ClosedBy.ARCHIVE_COUNT),
        (replace(OVER, counted=CONFIRMED, ends=Ends.INSIDE), None),
        (replace(OVER, counted=CONFIRMED, is_regular=False), None),
        (replace(OVER, counted=replace(CONFIRMED, is_confirmed=False)), None),
        # while the study may go on
        (replace(CHEST, counted=CONFIRMED, quiet_seconds=4.9), None),
        (replace(CHEST, counted=CONFIRMED), ClosedBy.ARCHIVE_COUNT),
        (replace(CHEST, counted=CONFIRMED, is_being_sent=True), None),
        # the weaker ones
        (CHEST, ClosedBy.REGULAR_STACK),
        (replace(CHEST, quiet_seconds=4.9), None),
        (replace(CHEST, is_being_sent=True), None),
        (replace(CHEST, ends=Ends.INSIDE), None),
        (replace(CHEST, ends=Ends.UNKNOWN), None),
        (replace(CHEST, is_regular=False), None),
        (replace(CHEST, is_whole_chest=False), None),
        (replace(CHEST, announced=3, ends=Ends.INSIDE), ClosedBy.ANNOUNCED),
        (replace(CHEST, announced=3, is_being_sent=True), None),
        (replace(CHEST, announced=2, ends=Ends.INSIDE), None),
        # somebody knows of more
        (replace(CHEST, announced=4), None),
        (replace(CHEST, counted=Counted(count=4, is_confirmed=False)), None),
        (replace(CHEST, named=(replace(STEP, instances=HERE | {"4"}),)), None),
        (replace(CHEST, named=(replace(STEP, final=False),)), None),
        (replace(CHEST, announced=4, quiet_seconds=60), ClosedBy.QUIET),
        (
            replace(CHEST, counted=Counted(count=4, is_confirmed=False), quiet_seconds=60),
            ClosedBy.LACKING,
        ),
        (
            replace(BARE, named=(replace(STEP, instances=HERE | {"4"}),), quiet_seconds=60),
            ClosedBy.LACKING,
        ),
    ],
)
def test_proofs(evidence: SeriesEvidence, expected: ClosedBy | None) -> None:
    assert decide(evidence, RULES).closed_by is expected


def test_weaker_proofs_can_be_done_without_and_are_not_repeated_where_they_were_wrong() -> None:
    assert decide(CHEST, replace(RULES, regular_seconds=0)).closed_by is None
    wrong = replace(RULES, distrusted=frozenset({ClosedBy.REGULAR_STACK}))
    assert decide(CHEST, wrong).closed_by is None
    assert decide(replace(CHEST, quiet_seconds=60), wrong).closed_by is ClosedBy.QUIET


def test_somebody_looks_only_where_it_decides() -> None:
    unseen = replace(CHEST, ends=Ends.UNKNOWN, quiet_seconds=2)

    assert decide(unseen, RULES).wants_look
    assert not decide(replace(unseen, is_being_sent=True), RULES).wants_look
    assert not decide(replace(unseen, is_regular=False), RULES).wants_look
    assert not decide(unseen, replace(RULES, regular_seconds=0)).wants_look
    counted = replace(unseen, counted=CONFIRMED, is_being_sent=True, is_of_earlier_day=True)
    assert decide(counted, replace(RULES, regular_seconds=0)).wants_look
    assert not decide(replace(unseen, ends=Ends.INSIDE), RULES).wants_look


def evidences() -> st.SearchStrategy[SeriesEvidence]:
    sets = st.sets(st.sampled_from("12345")).map(frozenset)
    named = st.builds(
        Named,
        by=st.sampled_from(sorted(NAMING)),
        instances=sets,
        final=st.booleans(),
        was_told_before=st.booleans(),
    )
    counts = st.builds(Counted, count=st.integers(0, 6), is_confirmed=st.booleans())
    return st.builds(
        SeriesEvidence,
        instances=sets,
        quiet_seconds=st.floats(0, 100),
        is_being_sent=st.booleans(),
        is_of_earlier_day=st.booleans(),
        is_whole_chest=st.booleans(),
        is_regular=st.booleans(),
        announced=st.none() | st.integers(1, 6),
        images=st.integers(0, 6),
        named=st.lists(named, max_size=3).map(tuple),
        counted=st.none() | counts,
        ends=st.sampled_from(Ends),
    )


@given(evidences())
def test_waiting_ends_and_never_later_than_without_proofs(evidence: SeriesEvidence) -> None:
    decision = decide(evidence, RULES)

    if decision.closed_by is None:
        assert 0 < decision.wait_seconds <= RULES.quiet_seconds - evidence.quiet_seconds
    assert (decision.closed_by is None) <= (evidence.quiet_seconds < RULES.quiet_seconds)
    if decision.closed_by in WEAKER:
        assert not evidence.is_being_sent
        assert evidence.quiet_seconds >= RULES.regular_seconds


def test_it_is_proved_while_it_waits_for_what_may_still_come() -> None:
    waits = replace(CHEST, quiet_seconds=2)

    assert decide(waits, RULES).is_proved
    assert not decide(replace(waits, quiet_seconds=0.5), RULES).is_proved
    assert not decide(replace(waits, is_being_sent=True), RULES).is_proved
    assert not decide(replace(waits, ends=Ends.INSIDE), RULES).is_proved
    assert not decide(waits, replace(RULES, regular_seconds=0)).is_proved
