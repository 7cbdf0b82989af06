"""States of series, deliveries, commitment requests, prior searches and work items; transitions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SeriesState(StrEnum):
    """State of a received series."""

    RECEIVING = "receiving"  #: instances still arrive
    STABLE = "stable"  #: closed; waits for its analysis
    ANALYSING = "analysing"  #: claimed by one analysis
    ENCODED = "encoded"  #: results are kept, deliveries are in the outbox
    DELIVERED = "delivered"  #: every destination has accepted every result, or its substitute
    UNSUITABLE = "unsuitable"  #: outside the intended use; reason recorded
    FAILED = "failed"  #: needs an operator; reason recorded
    FEEDBACK = "feedback"  #: documents of readers about results of ours; their answers are kept


class DeliveryState(StrEnum):
    """State of the delivery of one result object to one destination."""

    PENDING = "pending"  #: to be sent at `next_at`
    SENDING = "sending"  #: claimed by one sender
    ACCEPTED = "accepted"  #: the destination answered Success or a warning
    UNCOMMITTED = "uncommitted"  #: accepted; the storage commitment is awaited
    COMMITTED = "committed"  #: the destination has committed to its storage
    DECLINED = "declined"  #: SOP class not accepted; a substitute may yet arrive
    REPLACED = "replaced"  #: declined, and a substitute has arrived
    REFUSED = "refused"  #: refused by the destination, or given up; reason recorded


class CommitmentState(StrEnum):
    """State of one request for storage commitment."""

    ASKED = "asked"  #: the answer may come at any time
    ANSWERED = "answered"  #: the destination has reported which objects it has
    REJECTED = "rejected"  #: the request did not arrive, or was refused


class SearchState(StrEnum):
    """State of the search for an earlier study of a patient."""

    WANTED = "wanted"  #: archives are to be asked at `next_at`
    FETCHED = "fetched"  #: a series was requested; its analysis is awaited
    ENDED = "ended"  #: compared, or nothing to compare with; reason recorded


class SelfTestState(StrEnum):
    """State of a run of the self-test."""

    REQUESTED = "requested"  #: a person asked for it
    RUNNING = "running"  #: its series is on its way
    PASSED = "passed"  #: score and volumes are as expected
    FAILED = "failed"  #: reason recorded
    CANCELED = "canceled"  #: the node was stopped meanwhile


class WorkItemState(StrEnum):
    """State of a work item (Unified Procedure Step) that this node performs, or wants to."""

    CLAIMING = "claiming"  #: our Transaction UID is kept; the manager has not said that it is ours
    CLAIMED = "claimed"  #: IN PROGRESS by us: its series are awaited, analysed, delivered
    COMPLETING = "completing"  #: its results have arrived; the manager is to be told
    CANCELING = "canceling"  #: it is given up, reason recorded; the manager is to be told
    COMPLETED = "completed"  #: the manager has it as COMPLETED
    CANCELED = "canceled"  #: the manager has it as CANCELED; reason recorded
    LOST = "lost"  #: it is another's, or the manager has ended or forgotten it; reason recorded


class Rerun(StrEnum):
    """Rerun that an operator requests of a series that has ended."""

    REISSUE = "reissue"  #: encode the kept analysis again, with the present settings
    REPROCESS = "reprocess"  #: analyse it again


S = SeriesState
D = DeliveryState
W = WorkItemState

#: A late instance leads to RECEIVING; out of ANALYSING only on leaving it (`Series.reopened`).
#: STABLE after an end: an operator requested a rerun. ENCODED after FAILED or DELIVERED: an
#: operator had the results sent again.
SERIES_STEPS: Mapping[SeriesState, frozenset[SeriesState]] = MappingProxyType(
    {
        S.RECEIVING: frozenset({S.STABLE}),
        S.STABLE: frozenset({S.ANALYSING, S.RECEIVING}),
        S.ANALYSING: frozenset(
            {S.ENCODED, S.UNSUITABLE, S.FAILED, S.FEEDBACK, S.STABLE, S.RECEIVING}
        ),
        S.ENCODED: frozenset({S.DELIVERED, S.FAILED, S.RECEIVING, S.STABLE}),
        S.DELIVERED: frozenset({S.RECEIVING, S.STABLE, S.ENCODED}),
        S.UNSUITABLE: frozenset({S.RECEIVING, S.STABLE}),
        S.FAILED: frozenset({S.RECEIVING, S.STABLE, S.ENCODED}),
        S.FEEDBACK: frozenset({S.RECEIVING, S.STABLE}),
    }
)

#: REFUSED or REPLACED to PENDING: an operator had the object sent again, or the series analysed
#: again with the same result.
#: UNCOMMITTED to ACCEPTED: never answered. ACCEPTED or UNCOMMITTED to PENDING: the destination
#: reports that it does not have the object.
#: DECLINED lasts until the deliveries of all other objects of the result have ended there.
DELIVERY_STEPS: Mapping[DeliveryState, frozenset[DeliveryState]] = MappingProxyType(
    {
        D.PENDING: frozenset({D.SENDING}),
        D.SENDING: frozenset({D.ACCEPTED, D.UNCOMMITTED, D.PENDING, D.DECLINED, D.REFUSED}),
        D.UNCOMMITTED: frozenset({D.COMMITTED, D.ACCEPTED, D.PENDING, D.REFUSED}),
        D.ACCEPTED: frozenset({D.COMMITTED, D.PENDING, D.REFUSED}),
        D.COMMITTED: frozenset(),
        D.DECLINED: frozenset({D.REPLACED, D.REFUSED}),
        D.REPLACED: frozenset({D.PENDING}),
        D.REFUSED: frozenset({D.PENDING}),
    }
)

#: Deliveries that are still to be made, or to be confirmed.
UNDER_WAY = frozenset({D.PENDING, D.SENDING, D.UNCOMMITTED})
ARRIVED = frozenset({D.ACCEPTED, D.COMMITTED})  #: deliveries that have ended well

#: A claim whose answer was lost is repeated with the same Transaction UID. An end that the manager
#: does not take is tried again. COMPLETING to CANCELING: its results can be retrieved no more.
WORK_ITEM_STEPS: Mapping[WorkItemState, frozenset[WorkItemState]] = MappingProxyType(
    {
        W.CLAIMING: frozenset({W.CLAIMED, W.LOST}),
        W.CLAIMED: frozenset({W.COMPLETING, W.CANCELING, W.LOST}),
        W.COMPLETING: frozenset({W.COMPLETED, W.CANCELING, W.LOST}),
        W.CANCELING: frozenset({W.CANCELED, W.LOST}),
        W.COMPLETED: frozenset(),
        W.CANCELED: frozenset(),
        W.LOST: frozenset(),
    }
)
