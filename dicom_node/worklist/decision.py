"""Decide what becomes of a work item: how far it is, whether it ends, and how."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, IntEnum, auto
from typing import Self

from pydicom.sr.coding import Code

from dicom_node.network.status_codes import (
    NO_LONGER_UPDATED,
    NO_SUCH_SOP_INSTANCE,
    NO_SUCH_WORK_ITEM,
    WRONG_TRANSACTION_UID,
)
from dicom_node.worklist.ups_scu import is_done
from storage.delivery.work_item_inputs import InputState
from storage.delivery.work_items import WorkItemInput
from storage.series.lifecycle import ENDED
from storage.states import SeriesState

S = SeriesState

WRONG_ENTRY = Code("110514", "DCM", "Incorrect worklist entry selected")
NOT_SUPPORTED = Code("110522", "DCM", "Object Types not supported")
INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
FAILURE = Code("110501", "DCM", "Equipment failure")
EXPIRED = Code("110533", "DCM", "Workitem expired")
UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")
DISCONTINUATIONS: Mapping[str, Code] = {
    code.value: code
    for code in (WRONG_ENTRY, NOT_SUPPORTED, INCOMPLETE, FAILURE, EXPIRED, UNSPECIFIED)
}
"""Procedure Step Discontinuation Reasons that occur (PS3.16 CID 9300), by code value."""


class Stage(IntEnum):
    """How far a series is, by Procedure Step Progress (0074,1004), %."""

    words: str

    AWAITED = 0, "images are awaited"
    RECEIVED = 10, "images are being received"
    WAITING = 20, "images wait for their analysis"
    ANALYSED = 30, "images are being analysed"
    DELIVERED = 80, "results are being delivered"

    def __new__(cls, percent: int, words: str) -> Self:
        """Make a stage of a percentage and of words for people."""
        member = int.__new__(cls, percent)
        member._value_, member.words = percent, words
        return member


STAGES: Mapping[SeriesState, Stage] = {
    S.RECEIVING: Stage.RECEIVED,
    S.STABLE: Stage.WAITING,
    S.ANALYSING: Stage.ANALYSED,
    S.ENCODED: Stage.DELIVERED,
}


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The work item is in progress."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Completed:
    """Results of the work item have arrived, and nothing more is to come."""


@dataclass(frozen=True, slots=True)
class Canceled:
    """The work item is given up."""

    code: Code
    reason: str


Verdict = GoesOn | Completed | Canceled
NO_RESULT = Canceled(FAILURE, "no result was sent to where it could be retrieved from")


def judge(
    inputs: Sequence[WorkItemInput],
    found: Mapping[str, InputState],
    *,
    has_arrived: bool,
    is_cancel_requested: bool,
    waited: timedelta,
    longest: timedelta,
) -> Verdict:
    """Decide what becomes of a work item that is in progress.

    What has come to its end stays so: a request to cancel is too late then.

    Parameters
    ----------
    found
        The series of the input that are here.
    has_arrived
        Whether results of theirs have arrived at a destination from where they can be retrieved.
    waited, longest
        Since it was claimed, and at most.
    """
    if not inputs or not all(one.series_instance_uid for one in inputs):
        return _without_series(inputs)
    stages = [_stage(found.get(one.series_instance_uid)) for one in inputs]
    going = [stage for stage in stages if stage is not None]
    if not going:
        return _end(found.values(), has_arrived=has_arrived)
    if is_cancel_requested:
        return Canceled(UNSPECIFIED, "its cancellation was requested")
    if waited < longest:
        return GoesOn(min(going))
    only_awaited = set(going) == {Stage.AWAITED}
    is_done = has_arrived and only_awaited and _is_delivered(inputs, found)
    return Completed() if is_done else _late(min(going))


def is_absent(state: InputState | None) -> bool:
    """Tell whether images of a series are to be fetched: it is not here, or ended without some."""
    return state is None or (state.state in ENDED and bool(state.missing))


def _stage(state: InputState | None) -> Stage | None:
    """Tell how far a series is; None if it has ended."""
    if state is None or is_absent(state):
        return Stage.AWAITED
    return STAGES.get(state.state)


def _without_series(inputs: Sequence[WorkItemInput]) -> Canceled:
    """Give up what has no series, or not all of them any more."""
    if inputs:
        return Canceled(UNSPECIFIED, "a series of its input was erased here")
    return Canceled(WRONG_ENTRY, "the work item names no CT series as its input")


def _late(stage: Stage) -> Canceled:
    """Give up what has not ended in time."""
    if stage is Stage.AWAITED:
        return Canceled(INCOMPLETE, "its images have not come in time")
    return Canceled(EXPIRED, f"it did not end in time: {stage.words}")


def _is_delivered(inputs: Sequence[WorkItemInput], found: Mapping[str, InputState]) -> bool:
    """Tell whether the results of some series are those of images that are named."""
    here = [(one, found.get(one.series_instance_uid)) for one in inputs]
    return any(
        state is not None
        and state.state is S.DELIVERED
        and (not wanted.named or state.missing < len(wanted.named))
        for wanted, state in here
    )


def _end(ended: Collection[InputState], *, has_arrived: bool) -> Verdict:
    """Decide how a work item ends all of whose series have ended."""
    failed = [one.reason for one in ended if one.state is S.FAILED]
    if failed:
        return Canceled(FAILURE, "; ".join(failed))
    if all(one.state is not S.DELIVERED for one in ended):
        return Canceled(NOT_SUPPORTED, "; ".join(one.reason or one.state for one in ended))
    if not has_arrived:
        return NO_RESULT
    return Completed()


class Reaction(Enum):
    """What follows from the manager's answer to a step."""

    DONE = auto()  #: the step is done
    LOST = auto()  #: the work item is not ours, or is no more
    LATER = auto()  #: the step is tried again


LOST_BY = frozenset({WRONG_TRANSACTION_UID, NO_SUCH_WORK_ITEM, NO_SUCH_SOP_INSTANCE})


def reaction_to(status: int) -> Reaction:
    """Decide what follows from the answer to a step towards a work item that is ours."""
    if is_done(status):
        return Reaction.DONE
    return Reaction.LOST if status in LOST_BY else Reaction.LATER


def reaction_to_claim(status: int) -> Reaction:
    """Decide what follows from the answer to a claim: what has ended is none of ours either."""
    return Reaction.LOST if status == NO_LONGER_UPDATED else reaction_to(status)
