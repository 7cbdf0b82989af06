"""The end of a work item follows from its series, the time, and requests alone."""

from datetime import timedelta

import pytest

from dicom_node.worklist.decision import (
    DISCONTINUATIONS,
    EXPIRED,
    FAILURE,
    INCOMPLETE,
    NOT_SUPPORTED,
    UNSPECIFIED,
    WRONG_ENTRY,
    Canceled,
    Completed,
    GoesOn,
    Reaction,
    Stage,
    Verdict,
    judge,
    reaction_to,
    reaction_to_claim,
)
from storage.delivery.work_item_inputs import InputState
from storage.delivery.work_items import WorkItemInput
from storage.states import WORK_ITEM_STEPS, SeriesState, WorkItemState

S = SeriesState
DAY = timedelta(days=1)


def judged(
    *states: SeriesState | None,
    missing: int = 0,
    arrived: bool = True,
    cancel: bool = False,
    waited: timedelta = timedelta(),
) -> Verdict:
    """Judge a work item that names two instances of each of its series."""
    inputs = [
        WorkItemInput(
            study_instance_uid="1.2", series_instance_uid=f"1.{number}", named=("1.8", "1.9")
        )
        for number in range(len(states))
    ]
    found = {
        f"1.{number}": InputState(state=state, missing=missing, reason=f"{state} why")
        for number, state in enumerate(states)
        if state is not None
    }
    return judge(
        inputs,
        found,
        has_arrived=arrived,
        is_cancel_requested=cancel,
        waited=waited,
        longest=DAY,
    )


@pytest.mark.parametrize(
    ("states", "stage"),
    [
        ((None,), Stage.AWAITED),
        ((S.RECEIVING,), Stage.RECEIVED),
        ((S.STABLE,), Stage.WAITING),
        ((S.ANALYSING,), Stage.ANALYSED),
        ((S.ENCODED,), Stage.DELIVERED),
        ((S.DELIVERED, S.ANALYSING), Stage.ANALYSED),
        ((S.ENCODED, S.STABLE), Stage.WAITING),
        ((S.UNSUITABLE, None), Stage.AWAITED),
        ((S.FAILED, S.ENCODED), Stage.DELIVERED),
    ],
)
def test_it_is_as_far_as_the_series_that_is_least_far(
    states: tuple[SeriesState | None, ...], stage: Stage
) -> None:
    assert judged(*states) == GoesOn(stage)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ((S.DELIVERED,), Completed()),
        ((S.DELIVERED, S.UNSUITABLE), Completed()),
        ((), Canceled(WRONG_ENTRY, "the work item names no CT series as its input")),
        ((S.UNSUITABLE,), Canceled(NOT_SUPPORTED, "unsuitable why")),
        ((S.FEEDBACK,), Canceled(NOT_SUPPORTED, "feedback why")),
        ((S.DELIVERED, S.FAILED), Canceled(FAILURE, "failed why")),
    ],
)
def test_once_all_series_have_ended_so_has_the_work_item(
    states: tuple[SeriesState, ...], verdict: Verdict
) -> None:
    assert judged(*states) == verdict
    assert judged(*states, cancel=True, waited=2 * DAY) == verdict  # both come too late


def test_nothing_is_completed_without_results_that_can_be_retrieved() -> None:
    verdict = judged(S.DELIVERED, arrived=False)

    assert isinstance(verdict, Canceled)
    assert verdict.code == FAILURE


def test_images_that_are_named_and_not_here_are_awaited_though_the_others_have_ended() -> None:
    assert judged(S.DELIVERED, missing=1) == GoesOn(Stage.AWAITED)


@pytest.mark.parametrize("state", [None, S.RECEIVING, S.STABLE, S.ANALYSING, S.ENCODED])
def test_a_request_to_cancel_is_honoured_at_every_stage(state: SeriesState | None) -> None:
    verdict = judged(state, cancel=True)

    assert verdict == Canceled(UNSPECIFIED, "its cancellation was requested")


@pytest.mark.parametrize(("state", "code"), [(None, INCOMPLETE), (S.ANALYSING, EXPIRED)])
def test_it_is_given_up_in_the_end(state: SeriesState | None, code: object) -> None:
    verdict = judged(state, waited=DAY)

    assert isinstance(judged(state, waited=DAY - timedelta(seconds=1)), GoesOn)
    assert isinstance(verdict, Canceled)
    assert verdict.code == code


def test_in_the_end_it_is_completed_if_nothing_but_further_images_is_missing() -> None:
    assert judged(S.DELIVERED, None) == GoesOn(Stage.AWAITED)
    assert judged(S.DELIVERED, None, waited=DAY) == Completed()
    assert judged(S.DELIVERED, missing=1, waited=DAY) == Completed()
    for verdict in (
        judged(S.DELIVERED, None, arrived=False, waited=DAY),
        judged(S.DELIVERED, missing=2, waited=DAY),  # results of other images
        judged(S.UNSUITABLE, None, waited=DAY),
        judged(S.DELIVERED, S.ANALYSING, None, waited=DAY),
    ):
        assert isinstance(verdict, Canceled)


def test_one_of_which_a_series_was_erased_is_canceled() -> None:
    verdict = judge(
        [WorkItemInput(study_instance_uid="", series_instance_uid="")],
        {},
        has_arrived=False,
        is_cancel_requested=False,
        waited=timedelta(),
        longest=DAY,
    )

    assert verdict == Canceled(UNSPECIFIED, "a series of its input was erased here")


def test_codes_are_told_apart_by_their_value() -> None:
    assert {code.scheme_designator for code in DISCONTINUATIONS.values()} == {"DCM"}
    assert len(DISCONTINUATIONS) == 6


@pytest.mark.parametrize(
    ("status", "of_step", "of_claim"),
    [
        (0x0000, Reaction.DONE, Reaction.DONE),
        (0x0001, Reaction.DONE, Reaction.DONE),
        (0xB305, Reaction.DONE, Reaction.DONE),
        (0xB306, Reaction.DONE, Reaction.DONE),
        (0xC301, Reaction.LOST, Reaction.LOST),
        (0xC307, Reaction.LOST, Reaction.LOST),
        (0x0112, Reaction.LOST, Reaction.LOST),
        (0xC300, Reaction.LATER, Reaction.LOST),
        (0xC304, Reaction.LATER, Reaction.LATER),
        (0xC310, Reaction.LATER, Reaction.LATER),
        (0x0110, Reaction.LATER, Reaction.LATER),
        (0x0124, Reaction.LATER, Reaction.LATER),
    ],
)
def test_what_follows_from_an_answer(status: int, of_step: Reaction, of_claim: Reaction) -> None:
    assert reaction_to(status) is of_step
    assert reaction_to_claim(status) is of_claim


def test_every_state_comes_to_an_end() -> None:
    ends = {state for state, steps in WORK_ITEM_STEPS.items() if not steps}

    assert set(WORK_ITEM_STEPS) == set(WorkItemState)
    assert ends == {WorkItemState.COMPLETED, WorkItemState.CANCELED, WorkItemState.LOST}
    assert all(WorkItemState.LOST in steps for steps in WORK_ITEM_STEPS.values() if steps)
