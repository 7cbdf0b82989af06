"""What may go: a pure decision, of what is known of each series and of the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.states import DeliveryState, SeriesState

YOUNGEST = timedelta(hours=1)  #: what came or ended later stays, however little room there is

D, S = DeliveryState, SeriesState

FINAL = frozenset({D.COMMITTED, D.REPLACED, D.REFUSED})  #: whatever the destination promised
ENDS = frozenset({S.DELIVERED, S.UNSUITABLE, S.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """What a site wants kept for how long.

    Attributes
    ----------
    keep
        How long series are kept after their end; None for ever.
    committing
        Destinations that must have committed to storage, and not only accepted.
    """

    keep: timedelta | None
    committing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesUsage:
    """How a series stands that still has files.

    Attributes
    ----------
    since
        When it came to its state.
    last_at
        When its latest instance came.
    wished
        Whether a person wants something done with it.
    bytes
        Of its instances that are kept.
    deliveries
        Each destination and state there is, of all its results.
    """

    series_instance_uid: str
    state: SeriesState
    since: datetime
    last_at: datetime
    wished: bool
    bytes: int
    deliveries: frozenset[tuple[str, DeliveryState]]


def may_go(standing: SeriesUsage, rules: RetentionRules, now: datetime) -> bool:
    """Say whether the files of a series may go if there is need of room.

    Only if it has ended and all that was to be sent has come to its end; what was not delivered
    stays its full time, since a person may yet do something about it.
    """
    ended = all(_ended(*each, rules) for each in standing.deliveries)
    if standing.state not in ENDS or standing.wished or not ended:
        return False
    if standing.state is not S.DELIVERED:
        return is_over(standing, rules, now)
    return _age(standing, now) >= YOUNGEST


def is_over(standing: SeriesUsage, rules: RetentionRules, now: datetime) -> bool:
    """Say whether the time is over for which a series is to be kept."""
    return rules.keep is not None and _age(standing, now) >= max(rules.keep, YOUNGEST)


def choose(
    standings: Iterable[SeriesUsage], rules: RetentionRules, now: datetime, *, shortage: int = 0
) -> list[str]:
    """Choose the series whose files go now, the oldest first.

    Parameters
    ----------
    shortage
        How many bytes should be freed, beyond what goes because its time is over, or by it.

    Returns
    -------
    list of str
        Series Instance UIDs.
    """
    eligible = sorted(
        (each for each in standings if may_go(each, rules, now)),
        key=lambda each: (each.since, each.series_instance_uid),
    )
    chosen = [each for each in eligible if is_over(each, rules, now)]
    freed = sum(each.bytes for each in chosen)
    for each in eligible:
        if freed < shortage and each not in chosen:
            chosen.append(each)
            freed += each.bytes
    return [each.series_instance_uid for each in chosen]


def _ended(destination: str, state: DeliveryState, rules: RetentionRules) -> bool:
    return state in FINAL or (state is D.ACCEPTED and destination not in rules.committing)


def _age(standing: SeriesUsage, now: datetime) -> timedelta:
    """Since the end, or since what came last."""
    return now - max(standing.since, standing.last_at)
