"""Decide which series may be purged, from their state, deliveries and age alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.states import DeliveryState, SeriesState

YOUNGEST = timedelta(hours=1)  #: a series that came or ended later stays, however full the disk

D, S = DeliveryState, SeriesState

FINAL = frozenset({D.COMMITTED, D.REPLACED, D.REFUSED})  #: whether or not the destination commits
ENDS = frozenset({S.DELIVERED, S.UNSUITABLE, S.FAILED, S.FEEDBACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """Retention rules of the site.

    Attributes
    ----------
    keep
        Time for which series are kept after their end; None for ever.
    committing
        Destinations that must have committed to storage, not only accepted.
    """

    keep: timedelta | None
    committing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesUsage:
    """State, age and size of a series that still has files.

    Attributes
    ----------
    since
        When it entered its state.
    last_at
        When its latest instance arrived.
    rerun_requested
        Whether an operator has requested a rerun.
    bytes
        Size of its kept instances.
    deliveries
        Each destination and state that occurs, of all its results.
    """

    series_instance_uid: str
    state: SeriesState
    since: datetime
    last_at: datetime
    rerun_requested: bool
    bytes: int
    deliveries: frozenset[tuple[str, DeliveryState]]

    @property
    def changed_at(self) -> datetime:
        """The end of the series, or its latest instance if that came later."""
        return max(self.since, self.last_at)


def may_go(usage: SeriesUsage, rules: RetentionRules, now: datetime) -> bool:
    """Tell whether the files of a series may be removed when the disk is short of space.

    Only if the series and all of its deliveries have ended; a series that was not delivered is
    kept for its full time, so that an operator can act on it.
    """
    ended = all(_ended(destination, state, rules) for destination, state in usage.deliveries)
    if usage.state not in ENDS or usage.rerun_requested or not ended:
        return False
    if usage.state is not S.DELIVERED:
        return is_over(usage, rules, now)
    return _age(usage, now) >= YOUNGEST


def is_over(usage: SeriesUsage, rules: RetentionRules, now: datetime) -> bool:
    """Tell whether the retention time of a series is over."""
    return rules.keep is not None and _age(usage, now) >= max(rules.keep, YOUNGEST)


def choose(
    usages: Iterable[SeriesUsage], rules: RetentionRules, now: datetime, *, shortage: int = 0
) -> list[str]:
    """Choose the series to be purged now, the oldest first.

    Parameters
    ----------
    shortage
        Number of bytes to be freed; series whose time is over count towards it, and others follow
        until it is reached.

    Returns
    -------
    list of str
        Series Instance UIDs.
    """
    eligible = sorted(
        (usage for usage in usages if may_go(usage, rules, now)),
        key=lambda usage: (usage.since, usage.series_instance_uid),
    )
    chosen = [usage for usage in eligible if is_over(usage, rules, now)]
    freed = sum(usage.bytes for usage in chosen)
    for usage in eligible:
        if freed < shortage and usage not in chosen:
            chosen.append(usage)
            freed += usage.bytes
    return [usage.series_instance_uid for usage in chosen]


def _ended(destination: str, state: DeliveryState, rules: RetentionRules) -> bool:
    return state in FINAL or (state is D.ACCEPTED and destination not in rules.committing)


def _age(usage: SeriesUsage, now: datetime) -> timedelta:
    """Compute the time since the end, or since the latest instance if that is later."""
    return now - usage.changed_at
