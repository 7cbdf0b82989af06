"""Close every series that is complete by a proof, or has been quiet for long enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dicom_node.closing.decision import (
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
from dicom_node.closing.policy import ClosingPolicy
from dicom_node.closing.remembered import Remembered
from dicom_node.closing.series_watch import SeriesWatch, quiet_seconds
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.reasons import ClosedBy
from pipeline.series.attributes import calendar_date
from storage.database.sessions import Session
from storage.errors import DatabaseRefused, StaleState
from storage.series.closings import record_closing, too_early
from storage.series.lifecycle import OpenSeries, close, receiving
from storage.series.notifications import (
    NamedInstances,
    NamedVersion,
    NotificationKind,
    NotificationState,
    named_instances,
    named_lately,
)
from storage.series.slices import held_slices

DISTRUST = timedelta(days=30)  #: after a proof closed a series of a sender too early
EARLIER = timedelta(days=2)  #: since the date of a study that is over, whatever the time zones
UNSETTLED_SECONDS = 0.5  #: until the next look while instances may lack their rows
MAXIMUM_HELD = 200_000  #: instances of open series that are remembered: of five hundred series
MAXIMUM_NAMED = 200_000  #: instances as they are named that are remembered
KINDS: Mapping[NotificationKind, ClosedBy] = {
    NotificationKind.PROCEDURE_STEP: ClosedBy.PROCEDURE_STEP,
    NotificationKind.WORK_ITEM: ClosedBy.WORK_ITEM,
    NotificationKind.AVAILABILITY: ClosedBy.AVAILABILITY,
}
FINAL = frozenset({NotificationState.COMPLETED, NotificationState.AVAILABLE})


class Observer(Protocol):
    """Everything about an open series that is not in the database."""

    def tend(self) -> None:
        """End what hangs, and enter what has come; called at each look, also if none is open."""
        ...

    def settle(self) -> bool:
        """Enter what ended receivers left; False while instances may lack their rows for that."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at all open series.

    Attributes
    ----------
    distrusted
        Senders and proofs that were wrong a short while ago.
    named
        Series of which notifications name instances, with the version of those.
    """

    session: Session
    now: datetime
    distrusted: frozenset[tuple[str, str]]
    named: Mapping[str, NamedVersion]


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
    expect
        Called with a series that will be closed as it is unless another instance comes, at each
        look; it must not wait.
    """

    def __init__(
        self,
        resources: Resources,
        policy: ClosingPolicy,
        observer: Observer | None = None,
        *,
        wake: Callable[[], None],
        expect: Callable[[OpenSeries], object] = bool,
        watch: SeriesWatch | None = None,
    ) -> None:
        self._sessions, self._clock = resources.sessions, resources.clock
        self._policy, self._observer, self._wake = policy, observer, wake
        self._expect = expect
        self._watch = watch or SeriesWatch()
        self._held = self._none_held()
        self._named = Remembered[tuple[str, NamedVersion], tuple[NamedInstances, ...]](
            MAXIMUM_NAMED, lambda named: sum(len(one.instances) for one in named)
        )
        self._next_seconds = math.inf
        self._expected: list[OpenSeries] = []

    def take(self, policy: ClosingPolicy) -> None:
        """Close series by another policy from the next look on."""
        self._policy, self._held = policy, self._none_held()

    def _none_held(self) -> Remembered[OpenSeries, _Held]:
        return Remembered[OpenSeries, _Held](MAXIMUM_HELD, lambda held: len(held.instances))

    def run_once(self) -> float:
        """Close every series that is complete, and wake whoever analyses them.

        Returns
        -------
        float
            Seconds until another look is of use, as far as is known; infinite if nothing is open.
        """
        self._next_seconds, self._expected = math.inf, []
        if self._observer is not None:
            self._tend(self._observer)
            if not self._observer.settle():
                return UNSETTLED_SECONDS
        with self._sessions.reading() as session:  # nobody waits for what is only looked at
            complete = list(self._complete(session))
        for series, proof in complete:
            if self._close(series, proof):
                if self._observer is not None:
                    self._observer.closed(series)
                self._wake()
        for series in self._expected:
            self._say_expected(series)
        return self._next_seconds

    def _say_expected(self, series: OpenSeries) -> None:
        try:
            self._expect(series)
        except Exception:  # noqa: BLE001  # border: series are closed without it
            log.exception("job_failed", job="ahead", series_uid=series.series_instance_uid)

    def _tend(self, observer: Observer) -> None:
        try:
            observer.tend()
        except Exception:  # noqa: BLE001  # border: series are closed without it
            log.exception("job_failed", job="tend looks")

    def _complete(self, session: Session) -> Iterator[tuple[OpenSeries, ClosedBy]]:
        """Yield the series that are complete, with the proof."""
        now = self._clock()
        watched = self._watch.look(receiving(session), now)
        look = _Look(
            session=session,
            now=now,
            distrusted=too_early(session, now - DISTRUST) if watched else frozenset(),
            named=named_lately(session) if watched else {},
        )
        self._held.forget_others(watched)
        self._named.forget_others(look.named.items())
        for series, seconds in watched.items():
            quiet = quiet_seconds(series, now, seconds)
            decision = self._judged(look, series, quiet)
            if decision.closed_by is not None:
                yield series, decision.closed_by
            else:
                if decision.is_proved:
                    self._expected.append(series)
                unsettled = SETTLED_SECONDS - quiet
                wait = unsettled if unsettled > 0 else decision.wait_seconds
                self._next_seconds = min(self._next_seconds, wait)

    def _close(self, series: OpenSeries, proof: ClosedBy) -> bool:
        """Close a series; False if an instance has come meanwhile: it is quiet no more."""
        now = self._clock()
        waited = self._watch.waited_seconds(series)
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

    def _judged(self, look: _Look, series: OpenSeries, quiet: float) -> Decision:
        """Decide, by the quiet time alone where a series cannot be judged (border)."""
        rules = self._policy.rules(series.calling_ae, look.distrusted)
        try:
            return self._decision(look, series, quiet, rules)
        except Exception:  # noqa: BLE001  # border: no series holds up the others
            log.exception("job_failed", job="close", series_uid=series.series_instance_uid)
            return decide(SeriesEvidence(instances=frozenset(), quiet_seconds=quiet), rules)

    def _decision(
        self, look: _Look, series: OpenSeries, quiet: float, rules: ClosingRules
    ) -> Decision:
        if self._observer is None or quiet < SETTLED_SECONDS:
            return decide(SeriesEvidence(instances=frozenset(), quiet_seconds=quiet), rules)
        held = self._held.value(series, lambda: self._read(look.session, series))
        evidence = SeriesEvidence(
            instances=held.instances,
            quiet_seconds=quiet,
            is_being_sent=self._observer.is_being_sent(series),
            is_of_earlier_day=is_of_earlier_day(series.study_date, look.now),
            is_whole_chest=held.stack.is_whole_chest,
            is_regular=held.stack.is_regular,
            announced=held.stack.announced,
            images=held.stack.images,
            named=self._named_of(look, series),
            counted=self._observer.counted(series),
        )
        decision = decide(evidence, rules)
        if not decision.wants_look:
            return decision
        ends = self._observer.ends(series, held.stack.looked_at)
        return decide(replace(evidence, ends=ends), rules)

    def _read(self, session: Session, series: OpenSeries) -> _Held:
        slices = held_slices(session, series.series_instance_uid)
        return _Held(
            instances=frozenset(part.sop_instance_uid for part in slices),
            stack=header_stack(
                slices,
                min_slices=self._policy.min_slices,
                min_coverage_mm=self._policy.min_coverage_mm,
            ),
        )

    def _named_of(self, look: _Look, series: OpenSeries) -> tuple[Named, ...]:
        """List what others name of a series; a step that was discontinued proves nothing."""
        uid = series.series_instance_uid
        version = look.named.get(uid)
        if version is None:
            return ()
        named = self._named.value((uid, version), lambda: named_instances(look.session, uid))
        return tuple(
            Named(
                by=KINDS[one.kind],
                instances=one.instances,
                final=one.state in FINAL,
                was_told_before=one.changed_at < series.last_at,
            )
            for one in named
            if one.state is not NotificationState.DISCONTINUED
        )
