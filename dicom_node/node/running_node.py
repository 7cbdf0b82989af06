"""A running node: what it consists of, how its active side begins, and how it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import Settings
from dicom_node.analysis.before_closing.end_slices import EndSlices
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.drift import drift_job_of
from dicom_node.assembly.drift import prepared as drift_prepared
from dicom_node.assembly.self_test import left_out, self_test_job_of
from dicom_node.assembly.self_test import prepared as self_test_prepared
from dicom_node.audit.decisions import Decided
from dicom_node.audit.messages import application
from dicom_node.closing.archive_counts import ArchiveCounts
from dicom_node.closing.observer import Alone, NodeObserver
from dicom_node.database_lease import DatabaseLease
from dicom_node.errors import NodeError
from dicom_node.fleet.election import Election
from dicom_node.fleet.membership import Membership
from dicom_node.fleet.roster import Roster
from dicom_node.governance.model_inventory import keep_manifest
from dicom_node.health import ACTIVE, STANDBY, Health
from dicom_node.logs import log
from dicom_node.node.deadlines import (
    ENGINE_SECONDS,
    RELEASE_SECONDS,
    WORK_SECONDS,
    time_left,
    wait_within,
)
from dicom_node.node.processing import Processing, start_processing
from dicom_node.node.reception import Reception
from dicom_node.node.settings_follower import SETTINGS_SECONDS, SettingsFollower
from dicom_node.node.taking_up import Prepared, TakingUp
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.supervisor import Supervisor
from storage.errors import StorageError
from storage.maintenance.recovery import recover

if TYPE_CHECKING:
    from dicom_node.self_test.runner import SelfTestJob

DRIFT_SECONDS = 30.0  #: between two looks at scanners
SELF_TEST_SECONDS = 2.0  #: between two looks at the self-test
COMMITMENT_SECONDS = 20.0  #: between two looks at reports that senders wait for


@dataclass(slots=True, kw_only=True)
class Node:
    """A running node; `dicom_node.node.lifecycle.start_node` makes one."""

    resources: Resources
    supervisor: Supervisor
    scheduler: Scheduler
    reception: Reception
    engine: ComputeEngine
    transfers: Transfers
    counts: ArchiveCounts
    taking_up: TakingUp
    _processing: Processing | None = None
    _self_test: SelfTestJob | None = None
    _lease: DatabaseLease | None = None  #: of a node of its own, and of the active receiver
    _membership: Membership | None = None  #: of a receiver that shares database and folder
    _election: Election | None = None
    _failure: str = ""
    _when_over: Callable[[], object] = bool

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the DICOM receiver is bound to."""
        return self.reception.address

    @property
    def processing(self) -> Processing:
        """The side that analyses and delivers.

        Raises
        ------
        NodeError
            If this is a standby, which has none.
        """
        if self._processing is None:
            raise NodeError("expected the active receiver, this one is a standby")
        return self._processing

    @property
    def destinations(self) -> tuple[str, ...]:
        """Those that are delivered to from here."""
        return () if self._processing is None else self._processing.lanes.names

    @property
    def over(self) -> str:
        """Say why the node must end; empty while it need not."""
        by_lease = self._lease.lost if self._lease is not None else ""
        by_receivers = self._membership.lost if self._membership is not None else ""
        return by_lease or by_receivers or self._failure

    def when_over(self, act: Callable[[], object]) -> None:
        """Have something done when the node must end, on whatever thread notices."""
        self._when_over = act
        if self.over:
            act()

    def _fail(self, reason: str) -> None:
        """End because of something that has happened here."""
        self._failure = reason
        self._end()

    def _end(self) -> None:
        self._when_over()

    def start(self, settings: Settings, claim: DatabaseLease | Membership) -> None:
        """Start the jobs: those of a node of its own, or of one of the receivers that share.

        Raises
        ------
        NodeError
            If files that the settings name are missing.
        """
        if isinstance(claim, DatabaseLease):
            self._begin_processing(claim, self.resources)
        self.scheduler.start()
        self.supervisor.watch("scheduler", self.scheduler)
        self.supervisor.observe("jobs", self.scheduler.look)
        self.supervisor.start()
        if isinstance(claim, Membership):
            self._take_part(settings.node.receiver, claim)

    def follow(self, ini: Path, settings: Settings) -> None:
        """Take up what changes in the file of the settings, as far as that can be done."""
        follower = SettingsFollower(
            ini,
            settings,
            self.taking_up.take_up,
            health=self.resources.health,
            audit=self.resources.audit,
            clock=self.resources.clock,
        )
        follower.decisions = self.resources.decisions
        self.scheduler.every(SETTINGS_SECONDS, "settings", follower.look)

    def _begin_processing(
        self, lease: DatabaseLease, resources: Resources, roster: Roster | None = None
    ) -> None:
        """Close, analyse and deliver from now on.

        Parameters
        ----------
        resources
            Their sessions hold the lease.
        roster
            Looks after the other receivers, if there may be any.

        Raises
        ------
        NodeError
            If files that the settings name are missing.
        """
        self._lease = lease
        lease.when_lost(self._end)
        self.supervisor.watch("lease", lease)
        if roster is not None:
            self.transfers.when_begun = self.counts.begin
        wake_close = partial(self.scheduler.wake, "close")
        self.counts.when_answered = wake_close
        ends = EndSlices(self.engine, resources.folder, wake_close)
        observer = NodeObserver(
            transfers=self.transfers,
            counts=self.counts,
            look=ends.look,
            tend_looks=ends.tend,
            receivers=roster or Alone(),
        )

        def begin(settings: Settings) -> Prepared:
            processing = start_processing(
                settings, resources, self.scheduler, self.supervisor, self.engine, observer
            )
            self._processing = processing
            ends.make_way = processing.shadow.make_way
            record_start(resources, settings, processing)
            return processing.prepared

        def begin_self_tests(settings: Settings) -> Prepared:
            try:
                job = self._self_test = self_test_job_of(settings, resources, self.address[1])
            except ImportError as absent:
                return _without_self_tests(resources.health, absent, settings)
            self.scheduler.every(SELF_TEST_SECONDS, "self-test", job.poll)
            return partial(self_test_prepared, job)

        def begin_to_watch_scanners(settings: Settings) -> Prepared:
            job = drift_job_of(settings, resources)
            self.scheduler.every(DRIFT_SECONDS, "drift", job.run_once)
            return partial(drift_prepared, job)

        self.taking_up.extend(begin)
        self.taking_up.extend(begin_self_tests)
        self.taking_up.extend(begin_to_watch_scanners)
        reports = self.reception.commitment_scp.report_due
        self.scheduler.every(COMMITMENT_SECONDS, "commitment reports", reports)

    def _take_part(self, name: str, membership: Membership) -> None:
        """Share the work with other receivers: stand by, and take over when none is active."""
        self._membership = membership
        membership.sending = self.transfers.sending
        membership.when_lost(self._end)
        self.supervisor.watch("receiver", membership)
        resources = replace(self.resources, sessions=self.resources.sessions.beside())
        roster = Roster(
            resources.sessions,
            resources.folder.root,
            membership.holder,
            self.reception.ingest.take_up,
            self.resources.health,
        )

        def elected(lease: DatabaseLease) -> None:
            if election.insist(partial(give_back, resources)):
                self._begin_processing(lease, resources, roster)
                self.resources.health.role = ACTIVE
            else:
                lease.stop()

        self.resources.health.role = STANDBY
        self._election = election = Election(
            resources,
            roster,
            name=name,
            holder=membership.holder,
            elected=elected,
            failed=self._fail,
        )
        self.supervisor.watch("election", self._election)
        self._election.start()

    def stop(self) -> None:
        """Stop everything, in order; nothing that was accepted is lost."""
        log.info("node_draining")
        if self._election is not None:
            self._election.stop()
        self.taking_up.end()
        if self._self_test is not None:
            self._self_test.stop()
        deadline = time.monotonic() + WORK_SECONDS
        of_jobs = deadline - ENGINE_SECONDS
        self.supervisor.stop()
        self.counts.stop()
        self.scheduler.remove("settings")
        if self._processing is not None:
            self._processing.retire()
        self.reception.stop(of_jobs)
        if self._processing is not None:
            self._processing.stop(of_jobs)
        self.scheduler.stop(seconds=time_left(of_jobs))
        wait_within(deadline, self.engine.close)
        wait_within(deadline + RELEASE_SECONDS, self._let_go)
        self.resources.audit.record(application(starts=False))
        self.resources.close()
        log.info("node_stopped")

    def _let_go(self) -> None:
        """Give back what did not finish, which counts as no attempt; then let go of the lease.

        If the database is away, or another's by now, the next start gives it back.
        """
        if self._processing is not None and self._lease is not None:
            try:
                with self._processing.resources.sessions.begin() as session:
                    recover(session, self.resources.clock(), counted=False)
            except StorageError as fault:
                log.error("job_failed", job="release", reason=str(fault))
            self._lease.stop()
        if self._membership is not None:
            self._membership.stop()


def _without_self_tests(health: Health, absent: ImportError, settings: Settings) -> Prepared:
    why = f"{absent.name} is not installed"
    log.info("self_test_left_out", reason=why)
    without = partial(left_out, health, why)
    without(settings)()
    return without


def give_back(resources: Resources) -> None:
    """Give back what earlier holders of the lease had claimed."""
    with resources.sessions.begin() as session:
        recover(session, resources.clock())


def record_start(resources: Resources, settings: Settings, processing: Processing) -> None:
    """Record what decides results from this start on, and keep the card of the model."""
    model = processing.dispatcher.request_builder.config.model
    facts = {
        "version": version("dicom-node"),
        "model": f"{model.name} {model.version}",
        "manifest_sha256": model.sha256,
        "threshold": settings.analysis.threshold,
        "switch": settings.analysis.switch,
        "expires": str(settings.analysis.expires or ""),
        "destinations": [one.name for one in settings.destinations if one.enabled],
    }
    resources.decisions.record(Decided.STARTED, facts)
    try:
        keep_manifest(resources.folder.root, model.folder, model.sha256)
    except OSError as fault:
        log.error("manifest_not_kept", reason=str(fault.strerror))
