"""Start every part of the node in order, and stop it in order.

Start: bring the database up to date, give back what a crash left claimed, index what it left
without a row; then receive; then analyse and deliver; a supervisor looks after all of it. Stop:
receive nothing new and let associations finish, write the index, let the analysis that runs finish
or give it back, let delivery workers finish the object they are sending: in `STOP_SECONDS` at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.settings import Settings
from dicom_node.analysis.before_closing.end_slices import EndSlices
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.closing import archive_counts_of, archives_of
from dicom_node.assembly.engine import engine_of
from dicom_node.assembly.monitoring import start_monitoring
from dicom_node.assembly.resources import condition_file_of, open_resources
from dicom_node.assembly.self_test import prepared as self_test_prepared
from dicom_node.assembly.self_test import self_test_job_of
from dicom_node.audit.messages import application
from dicom_node.closing.archive_counts import ArchiveCounts
from dicom_node.closing.observer import NodeObserver
from dicom_node.database_lease import DatabaseLease, acquire
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.health import Health
from dicom_node.identity_key import keyed
from dicom_node.log_writer import LogWriter
from dicom_node.logs import log
from dicom_node.node.deadlines import (
    ENGINE_SECONDS,
    RELEASE_SECONDS,
    STOP_SECONDS,
    WORK_SECONDS,
    wait_within,
)
from dicom_node.node.processing import Processing, start_processing
from dicom_node.node.reception import Reception, start_reception
from dicom_node.node.settings_follower import SETTINGS_SECONDS, SettingsFollower
from dicom_node.node.taking_up import TakingUp
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources
from dicom_node.self_test.runner import SelfTestJob
from dicom_node.supervision.process_end import end_process, ended_within
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.stop_request import stop_request
from dicom_node.supervision.supervisor import LogLoss, Supervisor
from storage.errors import StorageError
from storage.maintenance.recovery import recover

SELF_TEST_SECONDS = 2.0  #: between two looks at the self-test


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A running node; `start_node` makes one."""

    resources: Resources
    supervisor: Supervisor
    lease: DatabaseLease
    reception: Reception
    processing: Processing
    counts: ArchiveCounts
    taking_up: TakingUp
    self_test: SelfTestJob

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the DICOM receiver is bound to."""
        return self.reception.address

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
        self.processing.scheduler.every(SETTINGS_SECONDS, "settings", follower.look)

    def stop(self) -> None:
        """Stop everything, in order; nothing that was accepted is lost."""
        log.info("node_draining")
        self.taking_up.end()
        self.self_test.stop()
        deadline = time.monotonic() + WORK_SECONDS
        self.supervisor.stop()
        self.counts.stop()
        self.processing.retire()
        self.reception.stop(deadline - ENGINE_SECONDS)
        self.processing.stop(deadline)
        wait_within(deadline + RELEASE_SECONDS, self._let_go)
        self.resources.audit.record(application(starts=False))
        self.resources.close()
        log.info("node_stopped")

    def _let_go(self) -> None:
        """Give back what did not finish, which counts as no attempt; then let go of the lease.

        If the database is away, or another's by now, the next start gives it back.
        """
        try:
            with self.resources.sessions.begin() as session:
                recover(session, self.resources.clock(), counted=False)
        except StorageError as fault:
            log.error("job_failed", job="release", reason=str(fault))
        self.lease.stop()


def start_node(
    settings: Settings,
    resources: Resources,
    *,
    make_engine: Callable[[Settings, Health], ComputeEngine] = engine_of,
    adopt: bool = False,
    ending: threading.Event | None = None,
) -> Node:
    """Start every part; where one cannot start, those that have are stopped again.

    Parameters
    ----------
    resources
        Closed when the node stops.
    make_engine
        Makes what analyses run on; the node starts without it being there.
    adopt, ending
        As `dicom_node.database_lease.acquire` takes them.

    Raises
    ------
    NodeError
        If an address cannot be listened on, the database is another node's, or the identity key is
        lost.
    """
    with ExitStack() as undo:
        undo.callback(resources.close)
        lease = acquire(resources, adopt=adopt, ending=ending)
        undo.callback(lease.stop)
        lease.start()
        resources = keyed(resources, forget=adopt)
        with resources.sessions.begin() as session:
            recover(session, resources.clock())
        scheduler = Scheduler(resources.health)
        supervisor = Supervisor(resources.health, publish=condition_file_of(resources).publish)
        supervisor.watch("audit", resources.audit)
        supervisor.watch("lease", lease)
        transfers = Transfers()
        counts = archive_counts_of(settings, resources, transfers)
        undo.callback(counts.stop)
        reception = start_reception(settings, resources, scheduler, supervisor, transfers)
        undo.callback(lambda: reception.stop(time.monotonic() + WORK_SECONDS))
        engine = make_engine(settings, resources.health)
        undo.callback(engine.close)
        counts.when_answered = partial(scheduler.wake, "close")
        ends = EndSlices(engine, resources.folder, partial(scheduler.wake, "close"))
        observer = NodeObserver(
            transfers=transfers, counts=counts, look=ends.look, tend_looks=ends.tend
        )
        processing = start_processing(settings, resources, scheduler, supervisor, engine, observer)
        host, port = reception.address
        self_test = _scheduled_self_test(settings, resources, scheduler, port)
        supervisor.start()
        undo.pop_all()
    resources.audit.record(application(starts=True))
    log.info("node_started", ae_title=settings.node.ae_title, host=host, port=port)
    return Node(
        resources=resources,
        supervisor=supervisor,
        lease=lease,
        reception=reception,
        processing=processing,
        counts=counts,
        taking_up=TakingUp(
            reception.prepared,
            processing.prepared,
            partial(_prepared, counts),
            partial(self_test_prepared, self_test),
        ),
        self_test=self_test,
    )


def _scheduled_self_test(
    settings: Settings, resources: Resources, scheduler: Scheduler, port: int
) -> SelfTestJob:
    """Make the job that runs self-tests, and enter it."""
    job = self_test_job_of(settings, resources, port)
    scheduler.every(SELF_TEST_SECONDS, "self-test", job.poll)
    return job


def _prepared(counts: ArchiveCounts, settings: Settings) -> Callable[[], None]:
    """Make the archives that settings describe; return what has them asked from now on."""
    return partial(counts.take, archives_of(settings))


def serve(
    settings: Settings, log_writer: LogWriter, *, ini: Path, new_folder: bool = False
) -> None:
    """Run a node until SIGTERM or SIGINT.

    Parameters
    ----------
    ini
        The file of the settings, whose changes are taken up.
    log_writer
        Its condition is watched like that of every other part.
    new_folder
        Whether to begin with an empty storage folder though the database knows files.

    Raises
    ------
    AlreadyRunning
        If another node uses the same storage folder.
    NodeError
        If the database is another node's, from the start or by now.
    """
    asked = stop_request()
    with only_node(settings.storage.folder):
        log.info("node_starting")  # what follows may have to wait for the database
        resources = open_resources(settings, any_folder=new_folder)
        node = start_node(settings, resources, adopt=new_folder, ending=asked)
        node.follow(ini, settings)
        observe_log(node, log_writer)
        stop_monitoring = _monitored(node, settings)
        node.lease.when_lost(asked.set)
        try:
            asked.wait()
        finally:
            with ended_within(STOP_SECONDS, log_writer, lambda: int(bool(node.lease.lost))):
                stop_monitoring()
                node.stop()
    end_process(log_writer, status=1 if node.lease.lost else 0)
    if node.lease.lost:
        raise NodeError(node.lease.lost)


def _monitored(node: Node, settings: Settings) -> Callable[[], None]:
    """Serve metrics and health, if the settings want that; return what ends it.

    Where the address cannot be listened on the node works all the same, and says so.
    """
    if not settings.monitoring.port:
        return lambda: None
    try:
        server = start_monitoring(settings, node.resources, lambda: node.processing.lanes.names)
    except NodeError as fault:
        node.resources.health.fault("monitoring", str(fault))
        log.error("monitoring_away", reason=str(fault))
        return lambda: None
    node.supervisor.watch("monitoring", server)
    return server.stop


def observe_log(node: Node, log_writer: LogWriter) -> None:
    """Have the supervisor look after the log, and tell what it loses."""
    node.supervisor.watch("log", log_writer)
    node.supervisor.observe("log lines", LogLoss(log_writer, node.resources.health).look)
