"""Retention job: choose series by the rules, mark them, remove their files, mark them as purged.

If the node ends in between, the next run goes on with the marked series. An instance that is
received again meanwhile is never removed: only files written well before the mark are. Rows follow
much later, by times of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dicom_node.audit.decisions import Decided
from dicom_node.audit.messages import deleted
from dicom_node.governance.result_records import keep_records, key_of
from dicom_node.logs import log
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.resources import Resources
from storage.console.changes import forget_changes
from storage.database.sessions import Session
from storage.errors import StaleState
from storage.files.identity_key import IdentityKey
from storage.files.removal_lock import may_remove
from storage.maintenance.condensing import (
    Place,
    condensable,
    condense,
    forget_series,
    forgettable,
)
from storage.maintenance.purge import (
    Purge,
    finish_purge,
    kept_files,
    latest_change,
    mark_for_purge,
    series_usages,
    series_with_old_files,
    unfinished_purges,
)
from storage.maintenance.retention import YOUNGEST, RetentionRules, choose
from storage.results.audit_counts import received_of
from storage.results.kept_results import keys_of
from storage.results.signed_reports import forget_unknown
from storage.results.to_tell import reference_of
from storage.series.quarantine_and_refusals import forget_quarantine, old_quarantine

PART = "retention"  #: in the condition of the node
ROWS_SECONDS = (
    60.0  #: for which rows are condensed in one run, and again for which others are forgotten
)
MOST_UNKNOWN_REPORTS = 200_000  #: about studies that are not here; a large house signs 2,000 a day
SERIES_AT_ONCE = (
    20  #: that are listed, and forgotten in one transaction; then the time is looked at
)


class Listing(Protocol):
    """Lists some series at a time of which rows are due; see `storage.maintenance.condensing`."""

    def __call__(
        self, session: Session, before: datetime, limit: int, *, after: Place | None
    ) -> list[Place]:
        """List the first ones after a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRetention:
    """Condenses and forgets rows of which the files are gone, some at a time.

    Attributes
    ----------
    condense
        Time after which the rows of removed files are condensed; None for never.
    keep_series
        Time for which series without files are kept after their end; None for ever.
    keep_changes
        Time for which changes made at the console are kept; None for ever.
    keep_unknown_reports
        Time for which reports about studies that are not here are kept; None for ever.
    steady
        Monotonic clock, seconds.
    """

    resources: Resources
    condense: timedelta | None = None
    keep_series: timedelta | None = None
    keep_changes: timedelta | None = None
    keep_unknown_reports: timedelta | None = None
    steady: Callable[[], float] = time.monotonic

    def run_once(self, now: datetime) -> None:
        """Condense, then forget what is old, each for `ROWS_SECONDS`: the next run goes on."""
        if self.condense is not None:
            self._condense(now - self.condense)
        if self.keep_series is not None:
            self._forget_series(now - self.keep_series)
        if self.keep_changes is not None:
            with self.resources.sessions.begin() as session:
                forget_changes(session, now - self.keep_changes)
        if self.keep_unknown_reports is not None:
            self._forget_reports(now - self.keep_unknown_reports)

    def _forget_reports(self, before: datetime) -> None:
        with self.resources.sessions.begin() as session:
            forgotten = forget_unknown(session, before, MOST_UNKNOWN_REPORTS)
        if forgotten:
            log.info("reports_forgotten", reports=forgotten)

    def _condense(self, before: datetime) -> None:
        series, instances, objects = 0, 0, 0
        for due in self._listed(condensable, before):
            for uid in due:
                with self.resources.sessions.begin() as session:
                    made = condense(session, uid, before)
                series += bool(made.instances)
                instances, objects = instances + made.instances, objects + made.objects
        if instances:
            log.info("rows_condensed", series=series, instances=instances, objects=objects)

    def _forget_series(self, before: datetime) -> None:
        forgotten, key = 0, key_of(self.resources)
        for due in self._listed(forgettable, before):
            forgotten += self._forget(due, before, key)
        if forgotten:
            log.info("rows_forgotten", series=forgotten)

    def _forget(self, due: Sequence[str], before: datetime, key: IdentityKey) -> int:
        """Forget some series, but for the records of their results; return how many."""
        keys: list[str] = []

        def keep(session: Session, series: Sequence[str]) -> None:
            keep_records(session, series, key)
            keys.extend(keys_of(session, series))

        with self.resources.sessions.begin() as session:
            gone = forget_series(session, due, before, keep)
        if gone:
            results = [reference_of(one) for one in keys]
            facts = {"series": len(gone), "results": results, "rule": "series_days"}
            self.resources.decisions.record(Decided.ERASED, facts)
        return len(gone)

    def _listed(self, listing: Listing, before: datetime) -> Iterator[list[str]]:
        """Yield the Series Instance UIDs of a list, some at a time, until the time is over."""
        ends, after = self.steady() + ROWS_SECONDS, None
        while self.steady() < ends:
            with self.resources.sessions.reading() as session:
                places = listing(session, before, SERIES_AT_ONCE, after=after)
            yield [place.series_instance_uid for place in places]
            if len(places) < SERIES_AT_ONCE:
                break
            after = places[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionJob:
    """Periodic job that removes old series and old files in quarantine.

    Attributes
    ----------
    clock
        Gives the time by which ages are judged.
    free_bytes
        With less than so much free above the reserve, series are removed before their time.
    keep_quarantine
        Time that files stay in quarantine; None for ever.
    """

    resources: Resources
    rules: RetentionRules
    clock: ConfirmedClock
    rows: RowRetention
    free_bytes: int = 0
    keep_quarantine: timedelta | None = None

    def run_once(self) -> None:
        """Remove what the rules allow, and what an earlier run marked but did not remove.

        While a backup is made, nothing is removed.
        """
        with may_remove(self.resources.folder.root) as may:
            if may:
                self._remove_what_is_old()
            else:
                log.info("retention_waits_for_backup")

    def _remove_what_is_old(self) -> None:
        self._remove_marked()
        shortage = self.free_bytes - self.resources.folder.free_bytes() if self.free_bytes else 0
        with self.resources.sessions.reading() as session:
            now = self._confirmed(latest_change(session))
            usages = series_usages(session, None if shortage > 0 else self._old(session, now))
        for uid in choose(usages, self.rules, now, shortage=shortage):
            self._mark(uid, now)
            self._remove_marked()
        self._end_quarantine(now)
        self.rows.run_once(now)

    def _old(self, session: Session, now: datetime) -> set[str]:
        """List the series that may be due: without a shortage of space only those are looked at."""
        keep = self.rules.keep
        return set() if keep is None else series_with_old_files(session, now - keep)

    def _confirmed(self, latest: datetime | None) -> datetime:
        """Give the time by which ages are judged; report a time of day that is not believed."""
        judged = self.clock.look(latest)
        if judged.is_doubted:
            reason = f"the clock may be ahead: ages are judged as of {judged.time:%Y-%m-%d %H:%M}"
            self.resources.health.fault(PART, reason)
        else:
            self.resources.health.well(PART)
        return judged.time

    def _mark(self, uid: str, now: datetime) -> None:
        """Mark a series, unless an instance of it was received again just now.

        Files are looked at before the transaction, which PostgreSQL would end for idling.
        """
        with self.resources.sessions.reading() as session:
            paths = kept_files(session, uid)
        try:
            written = self.resources.folder.last_written_at(paths)
        except OSError as fault:
            _tell_failed(uid, fault.strerror or type(fault).__name__)
            return
        if written is None or written < now - YOUNGEST:
            with suppress(StaleState), self.resources.sessions.begin() as session:
                mark_for_purge(session, uid, self.rules, now)

    def _remove_marked(self) -> None:
        with self.resources.sessions() as session:
            marked = unfinished_purges(session)
        for purge in marked:
            self._remove(purge)

    def _remove(self, purge: Purge) -> None:
        uid = purge.series_instance_uid
        with self.resources.sessions() as session:
            studies = received_of(session, [uid])
        if faults := self.resources.folder.discard(purge.paths, before=purge.before):
            _tell_failed(uid, next(iter(faults.values())))
            return  # it stays marked, and is tried again
        with self.resources.sessions.begin() as session:
            finish_purge(session, uid)
        self.resources.audit.record(deleted(studies))
        log.info("series_purged", series_uid=uid, instances=purge.instances, results=purge.results)

    def _end_quarantine(self, now: datetime) -> None:
        if self.keep_quarantine is None:
            return
        before = now - self.keep_quarantine
        with self.resources.sessions() as session:
            old = old_quarantine(session, before)
        if old:
            faults = self.resources.folder.discard(old, before=before)
            removed = [path for path in old if path not in faults]
            with self.resources.sessions.begin() as session:
                forget_quarantine(session, removed, before)
            log.info("quarantine_purged", files=len(removed))


def _tell_failed(series_uid: str, reason: str) -> None:
    """Log that files of a series cannot be removed now; the others are not held up by it."""
    log.error("removal_failed", series_uid=series_uid, reason=reason)
