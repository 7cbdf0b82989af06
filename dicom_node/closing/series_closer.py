"""Close every series that is complete by a proof, or has been quiet for long enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from dicom_node.closing.decision import (
    PATIENCE,
    SETTLED_SECONDS,
    ClosingRules,
    Counted,
    Decision,
    Ends,
    Named,
    SeriesEvidence,
    decide,
)
from dicom_node.closing.header_stack import HeaderStack, header_stack
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.reasons import ClosedBy
from pipeline.series.attributes import calendar_date
from storage.database.sessions import Session
from storage.errors import DatabaseRefused, StaleState
from storage.series.closings import record_closing, too_early
from storage.series.lifecycle import OpenSeries, close, receiving
from storage.series.notifications import NotificationKind, NotificationState, named_instances
from storage.series.slices import held_slices

DISTRUST = timedelta(days=30)  #: after a proof closed a series of a sender too early
EARLIER = timedelta(days=2)  #: since the date of a study that is over, whatever the time zones
MAXIMUM_STACKS = 200  #: open series whose slices are remembered
KINDS: Mapping[NotificationKind, ClosedBy] = {
    NotificationKind.PROCEDURE_STEP: ClosedBy.PROCEDURE_STEP,
    NotificationKind.AVAILABILITY: ClosedBy.AVAILABILITY,
}
FINAL = frozenset({NotificationState.COMPLETED, NotificationState.AVAILABLE})


class Observer(Protocol):
    """Everything about an open series that is not in the database."""

    def tend(self) -> None:
        """End what hangs, and enter what has come; called at each look, also if none is open."""
        ...

    def is_being_sent(self, series: OpenSeries) -> bool:
        """Tell whether an association that has sent some of it is still open."""
        ...

    def counted(self, series: OpenSeries) -> Counted | None:
        """Tell what an archive said of its number of instances; have it asked."""
        ...

    def ends(self, series: OpenSeries, paths: Sequence[str]) -> Ends:
        """Tell what its end slices show; have somebody look at them."""
        ...

    def closed(self, series: OpenSeries) -> None:
        """Forget what was known of a series that is closed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingPolicy:
    """What the settings say.

    Attributes
    ----------
    quiet_seconds, regular_seconds
        As in `ClosingRules`: of any sender, and of single ones by their AE title.
    min_slices, min_coverage_mm
        Of a series that is analysed.
    """

    quiet_seconds: float
    quiet_seconds_by_ae: Mapping[str, float] = field(default_factory=dict)
    regular_seconds: float = 0.0
    regular_seconds_by_ae: Mapping[str, float] = field(default_factory=dict)
    min_slices: int = 1
    min_coverage_mm: float = 0.0

    def rules(self, calling_ae: str, distrusted: frozenset[tuple[str, str]]) -> ClosingRules:
        """Give the rules for a sender.

        Parameters
        ----------
        distrusted
            Senders and proofs that were wrong a short while ago.
        """
        return ClosingRules(
            quiet_seconds=self.quiet_seconds_by_ae.get(calling_ae, self.quiet_seconds),
            regular_seconds=self.regular_seconds_by_ae.get(calling_ae, self.regular_seconds),
            distrusted=frozenset(
                proof for proof in ClosedBy if (calling_ae, str(proof)) in distrusted
            )
            - PATIENCE,
        )


def quiet_seconds(series: OpenSeries, now: datetime, watched_seconds: float) -> float:
    """Tell for how long no instance of a series has come, by both clocks.

    Parameters
    ----------
    now
        Time of day: it may be set, and then says nothing of the time that has passed.
    watched_seconds
        Time for which this process has seen the series as it is, by the monotonic clock.

    Notes
    -----
    A last instance that lies in the future counts as well: the clock was put back, and the series
    must not wait for it to catch up.
    """
    by_time_of_day = abs((now - series.last_at).total_seconds())
    return min(by_time_of_day, watched_seconds)


def is_of_earlier_day(study_date: str, now: datetime) -> bool:
    """Tell whether a study is of the day before yesterday or earlier; False without a date.

    Parameters
    ----------
    study_date
        DICOM DA.
    now
        Of any time zone: no clock of a scanner is a whole day off.
    """
    day = calendar_date(study_date)
    return day is not None and now.date() - day >= EARLIER


class SeriesWatch:
    """Measures how long each open series has been as it is, since the node runs.

    Parameters
    ----------
    steady
        The monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: dict[OpenSeries, float] = {}

    def look(self, current: Sequence[OpenSeries]) -> dict[OpenSeries, float]:
        """Give the seconds for which each open series has not changed; new ones begin now."""
        now = self._steady()
        self._since = {series: self._since.get(series, now) for series in current}
        return {series: now - since for series, since in self._since.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The instances of an open series, as they were read once."""

    instances: frozenset[str]
    stack: HeaderStack


class SeriesCloser:
    """Closes series; nothing that it asks others for is waited for.

    Parameters
    ----------
    observer
        Knows what is not in the database; None where patience alone closes series.
    wake
        Called when a series was closed.
    """

    def __init__(
        self,
        resources: Resources,
        policy: ClosingPolicy,
        observer: Observer | None = None,
        *,
        wake: Callable[[], None],
        watch: SeriesWatch | None = None,
    ) -> None:
        self._sessions, self._clock = resources.sessions, resources.clock
        self._policy, self._observer, self._wake = policy, observer, wake
        self._watch = watch or SeriesWatch()
        self._held: dict[OpenSeries, _Held] = {}
        self._next_seconds = math.inf

    def run_once(self) -> float:
        """Close every series that is complete, and wake whoever analyses them.

        Returns
        -------
        float
            Seconds until another look is of use, as far as is known; infinite if nothing is open.
        """
        self._next_seconds = math.inf
        if self._observer is not None:
            self._tend(self._observer)
        with self._sessions.reading() as session:  # nobody waits for what is only looked at
            complete = list(self._complete(session))
        for series, proof in complete:
            if self._close(series, proof):
                if self._observer is not None:
                    self._observer.closed(series)
                self._wake()
        return self._next_seconds

    def _tend(self, observer: Observer) -> None:
        try:
            observer.tend()
        except Exception:  # noqa: BLE001  # border: series are closed without it
            log.exception("job_failed", job="tend looks")

    def _complete(self, session: Session) -> Iterator[tuple[OpenSeries, ClosedBy]]:
        """Yield the series that are complete, with the proof."""
        now = self._clock()
        watched = self._watch.look(receiving(session))
        self._held = {series: held for series, held in self._held.items() if series in watched}
        distrusted = too_early(session, now - DISTRUST) if watched else frozenset()
        for series, seconds in watched.items():
            quiet = quiet_seconds(series, now, seconds)
            decision = self._judged(session, series, quiet, distrusted)
            if decision.closed_by is not None:
                yield series, decision.closed_by
            else:
                unsettled = SETTLED_SECONDS - quiet
                wait = unsettled if unsettled > 0 else decision.wait_seconds
                self._next_seconds = min(self._next_seconds, wait)

    def _close(self, series: OpenSeries, proof: ClosedBy) -> bool:
        """Close a series; False if an instance has come meanwhile: it is quiet no more."""
        now = self._clock()
        waited = abs((now - series.last_at).total_seconds())
        try:
            with self._sessions.begin() as session:
                close(session, series, now)
                record_closing(session, series, proof, waited, now)
        except StaleState:
            return False
        except DatabaseRefused as fault:  # no series holds up the others
            log.error(
                "job_failed", job="close", series_uid=series.series_instance_uid, reason=str(fault)
            )
            return False
        log.info(
            "series_closed",
            series_uid=series.series_instance_uid,
            generation=series.generation,
            instances=series.instances,
            calling_ae=series.calling_ae,
            closed_by=proof,
            waited_seconds=round(waited, 1),
        )
        return True

    def _judged(
        self,
        session: Session,
        series: OpenSeries,
        quiet: float,
        distrusted: frozenset[tuple[str, str]],
    ) -> Decision:
        """Decide, by the quiet time alone where a series cannot be judged (border)."""
        try:
            return self._decision(session, series, quiet, distrusted)
        except Exception:  # noqa: BLE001  # border: no series holds up the others
            log.exception("job_failed", job="close", series_uid=series.series_instance_uid)
            return decide(
                SeriesEvidence(instances=frozenset(), quiet_seconds=quiet),
                self._policy.rules(series.calling_ae, distrusted),
            )

    def _decision(
        self,
        session: Session,
        series: OpenSeries,
        quiet: float,
        distrusted: frozenset[tuple[str, str]],
    ) -> Decision:
        rules = self._policy.rules(series.calling_ae, distrusted)
        if self._observer is None or quiet < SETTLED_SECONDS:
            return decide(SeriesEvidence(instances=frozenset(), quiet_seconds=quiet), rules)
        held = self._slices(session, series)
        evidence = SeriesEvidence(
            instances=held.instances,
            quiet_seconds=quiet,
            is_being_sent=self._observer.is_being_sent(series),
            is_of_earlier_day=is_of_earlier_day(series.study_date, self._clock()),
            is_whole_chest=held.stack.is_whole_chest,
            is_regular=held.stack.is_regular,
            announced=held.stack.announced,
            images=held.stack.images,
            named=_named(session, series),
            counted=self._observer.counted(series),
        )
        decision = decide(evidence, rules)
        if not decision.wants_look:
            return decision
        ends = self._observer.ends(series, held.stack.looked_at)
        return decide(replace(evidence, ends=ends), rules)

    def _slices(self, session: Session, series: OpenSeries) -> _Held:
        """Read the instances of a series, once for as long as it stays as it is."""
        known = self._held.get(series)
        if known is not None:
            return known
        slices = held_slices(session, series.series_instance_uid)
        known = _Held(
            instances=frozenset(part.sop_instance_uid for part in slices),
            stack=header_stack(
                slices,
                min_slices=self._policy.min_slices,
                min_coverage_mm=self._policy.min_coverage_mm,
            ),
        )
        if len(self._held) < MAXIMUM_STACKS:
            self._held[series] = known
        return known


def _named(session: Session, series: OpenSeries) -> tuple[Named, ...]:
    """List what others name of a series; a step that was discontinued proves nothing."""
    return tuple(
        Named(
            by=KINDS[one.kind],
            instances=one.instances,
            final=one.state in FINAL,
            was_told_before=one.changed_at < series.last_at,
        )
        for one in named_instances(session, series.series_instance_uid)
        if one.state is not NotificationState.DISCONTINUED
    )
