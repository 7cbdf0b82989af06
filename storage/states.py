"""The life of a series and of a delivery: the only states, and the only steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SeriesState(StrEnum):
    """Where a received series stands."""

    RECEIVING = "receiving"  #: instances still arrive
    STABLE = "stable"  #: closed; waits to be analysed
    ANALYSING = "analysing"  #: claimed by one analysis
    ENCODED = "encoded"  #: results are kept, deliveries are in the outbox
    DELIVERED = "delivered"  #: every destination has accepted every result, or what stands for it
    UNSUITABLE = "unsuitable"  #: outside the intended use; reason recorded
    FAILED = "failed"  #: needs a person; reason recorded


class DeliveryState(StrEnum):
    """Where one result on its way to one destination stands."""

    PENDING = "pending"  #: to be sent when its time has come
    SENDING = "sending"  #: claimed by one sender
    ACCEPTED = "accepted"  #: the destination answered Success or a warning
    UNCOMMITTED = "uncommitted"  #: accepted; the destination is yet to take responsibility
    COMMITTED = "committed"  #: the destination took responsibility (storage commitment)
    DECLINED = "declined"  #: the destination does not take its class; see what else arrives
    REPLACED = "replaced"  #: declined, and another object there carries the message
    REFUSED = "refused"  #: the destination will not have it, or we gave up; reason recorded


class CommitmentState(StrEnum):
    """Where one request for storage commitment stands."""

    ASKED = "asked"  #: the answer may come at any time
    ANSWERED = "answered"  #: the destination said what it has and what not
    REJECTED = "rejected"  #: the request did not reach it, or it would not have it


class SearchState(StrEnum):
    """Where the search for an earlier study of a patient stands."""

    WANTED = "wanted"  #: archives are to be asked when its time has come
    FETCHED = "fetched"  #: one has sent a series, or is about to; its analysis is waited for
    ENDED = "ended"  #: compared with, or there is nothing to compare with; reason recorded


class Rerun(StrEnum):
    """What a person wants done once more with a series that has ended."""

    REISSUE = "reissue"  #: encode what is kept of its analysis again, with today's settings
    REPROCESS = "reprocess"  #: analyse it again


S = SeriesState
D = DeliveryState

#: A late instance leads to RECEIVING; out of ANALYSING only on leaving it (`Series.reopened`).
#: STABLE after an end is a person's wish to have the series analysed again; ENCODED after FAILED,
#: to have its results sent again.
SERIES_STEPS: Mapping[SeriesState, frozenset[SeriesState]] = MappingProxyType(
    {
        S.RECEIVING: frozenset({S.STABLE}),
        S.STABLE: frozenset({S.ANALYSING, S.RECEIVING}),
        S.ANALYSING: frozenset({S.ENCODED, S.UNSUITABLE, S.FAILED, S.STABLE, S.RECEIVING}),
        S.ENCODED: frozenset({S.DELIVERED, S.FAILED, S.RECEIVING, S.STABLE}),
        S.DELIVERED: frozenset({S.RECEIVING, S.STABLE}),
        S.UNSUITABLE: frozenset({S.RECEIVING, S.STABLE}),
        S.FAILED: frozenset({S.RECEIVING, S.STABLE, S.ENCODED}),
    }
)

#: REFUSED or REPLACED to PENDING: a person had it sent again, or the series analysed again, with
#: the same result.
#: UNCOMMITTED to ACCEPTED: never answered. ACCEPTED or UNCOMMITTED to PENDING: the destination
#: says that it does not have the object.
#: DECLINED lasts until all other objects of the result have come to their end there.
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

#: Deliveries that are still ours to make, or to see confirmed.
UNDER_WAY = frozenset({D.PENDING, D.SENDING, D.UNCOMMITTED})
ARRIVED = frozenset({D.ACCEPTED, D.COMMITTED})  #: deliveries that are done
