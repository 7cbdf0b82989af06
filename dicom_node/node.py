"""Start every part of the node in order, and stop it in order.

Start: bring the database up to date, give back what a crash left claimed, index what it left
without a row; then receive; then analyse and deliver; a supervisor looks after all of it. Stop:
receive nothing new and let associations finish, write the index, let the analysis that runs finish
or give it back, let delivery workers finish the object they are sending: in `STOP_SECONDS` at most.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from pynetdicom import evt

from config.settings import Settings
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.rerun import start_requested_reruns
from dicom_node.assembly import (
    certificate_renewal_of,
    commitment_scp_of,
    condition_file_of,
    delivery_workers_of,
    dispatcher_of,
    engine_of,
    index_writer_of,
    open_resources,
    prior_fetchers_of,
    receiver_of,
    request_builder_of,
    retention_of,
    server_tls_of,
    stow_receivers_of,
)
from dicom_node.audit.messages import application
from dicom_node.clock_watch import ClockWatch
from dicom_node.database_lease import DatabaseLease, acquire
from dicom_node.delivery.commitment.request import record_report
from dicom_node.delivery.commitment.scu import handle_report
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.health import Health
from dicom_node.log_writer import LogWriter
from dicom_node.logs import log
from dicom_node.maintenance.consistency import ConsistencyMonitor, folder_is_away
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.series_closing import SeriesWatch, close_quiet_series
from dicom_node.reception.store_scp import Receiver, audit_rejection
from dicom_node.reception.stow.server import StowReceiver
from dicom_node.resources import Resources
from dicom_node.supervision.process_end import end_process
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.supervisor import LogLoss, Supervisor
from storage.errors import StorageError
from storage.maintenance.recovery import recover

STOP_SECONDS = 10.0  #: longest that a stop takes: what has not finished then is tried again later
WORK_SECONDS = 6.5  #: of these for what is under way; the rest to let go of database and audit
DRAIN_SECONDS = 4.0  #: of these for open associations and requests
ENGINE_SECONDS = 2.0  #: of these for the engine
RELEASE_SECONDS = 1.5  #: of these to give back in the database what did not finish
MAINTENANCE_SECONDS = 3600.0  #: between two rounds of retention and consistency check
PRIOR_FETCH_SECONDS = 10.0  #: between two looks at what is to be searched for in archives
TEND_SECONDS = 1.0  #: between two looks at the engine and its workers
RENEWAL_SECONDS = 60.0  #: between two looks whether certificates were renewed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The side of a running node that takes instances in.

    Attributes
    ----------
    address
        Host and port that the DICOM receiver is bound to.
    stow_receivers
        One if STOW-RS is configured, else none.
    """

    address: tuple[str, int]
    index: IndexWriter
    commitment_scp: CommitmentScp
    receiver: Receiver
    stow_receivers: tuple[StowReceiver, ...]

    def stop(self, deadline: float) -> None:
        """Take nothing new; let what is on its way come in; write its rows.

        Parameters
        ----------
        deadline
            Of all this (monotonic, seconds). Files whose rows are not written by then get them
            at the next start.
        """
        drained = min(deadline, time.monotonic() + DRAIN_SECONDS)
        for stow in self.stow_receivers:
            stow.retire()
        self.receiver.drain(seconds=_left(drained))
        for stow in self.stow_receivers:
            stow.drain(deadline=drained)
        self.commitment_scp.stop()
        self.index.stop(_left(deadline))


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _within(deadline: float, act: Callable[[], object]) -> None:
    """Do something, and wait for its end until a deadline (monotonic, seconds)."""
    thread = threading.Thread(target=act, name="closing", daemon=True)
    thread.start()
    thread.join(_left(deadline))


def start_reception(
    settings: Settings, resources: Resources, scheduler: Scheduler, supervisor: Supervisor
) -> Reception:
    """Index what a crash left without a row, then listen.

    Raises
    ------
    NodeError
        If an address cannot be listened on, or files of TLS are missing.
    """
    with ExitStack() as undo:
        index = index_writer_of(settings, resources)
        index.start()
        undo.callback(index.stop)
        ingest = InstanceIngest(resources, index)
        ingest.scan()
        commitment_scp = commitment_scp_of(settings, index, resources)
        undo.callback(commitment_scp.stop)
        tls = server_tls_of(settings)
        if tls is not None:
            renewal = certificate_renewal_of(settings, tls)
            scheduler.every(RENEWAL_SECONDS, "certificates", renewal.poll)
        receiver, node = receiver_of(settings), settings.node
        with _listening(node.bind, node.port):
            address = receiver.listen(
                (node.bind, node.port),
                ingest,
                tls=tls,
                services=_services(commitment_scp, resources),
            )
        undo.callback(receiver.drain, seconds=0.0)
        stow_receivers, web = stow_receivers_of(settings), settings.dicomweb
        for stow in stow_receivers:
            with _listening(web.bind, web.port):
                stow.listen((web.bind, web.port), ingest, tls=tls)
        supervisor.watch("index", index)
        supervisor.observe("index", index.look)
        supervisor.watch("receiver", receiver)
        for stow in stow_receivers:
            supervisor.watch("STOW-RS receiver", stow)
        undo.pop_all()
    return Reception(
        address=address,
        index=index,
        commitment_scp=commitment_scp,
        receiver=receiver,
        stow_receivers=stow_receivers,
    )


def _services(commitment_scp: CommitmentScp, resources: Resources) -> list[evt.EventHandlerType]:
    """Handlers of what peers ask of our port beside storage, and of whom it rejects."""
    return [
        (evt.EVT_N_EVENT_REPORT, handle_report, [partial(record_report, resources=resources)]),
        (evt.EVT_N_ACTION, commitment_scp.handle),
        (evt.EVT_REJECTED, audit_rejection, [resources.audit]),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """The side of a running node that analyses series and delivers results.

    Attributes
    ----------
    prior_fetchers
        One if an archive is to be asked for prior studies, else none.
    """

    scheduler: Scheduler
    engine: ComputeEngine
    dispatcher: AnalysisDispatcher
    delivery_workers: tuple[DeliveryWorker, ...]
    prior_fetchers: tuple[PriorFetcher, ...]

    def retire(self) -> None:
        """Begin no analysis, and nothing further to any destination."""
        self.scheduler.remove("analyse")
        for worker in self.delivery_workers:
            worker.stop()
        for fetcher in self.prior_fetchers:
            fetcher.stop()

    def stop(self, deadline: float) -> None:
        """Let what runs come to its end, until a deadline (monotonic, seconds)."""
        of_jobs = deadline - ENGINE_SECONDS
        self.dispatcher.wait_until_idle(seconds=_left(of_jobs))
        self.scheduler.stop(seconds=_left(of_jobs))
        _within(deadline, self.engine.close)


def start_processing(
    settings: Settings,
    resources: Resources,
    scheduler: Scheduler,
    supervisor: Supervisor,
    engine: ComputeEngine,
) -> Processing:
    """Start the scheduler with every job of the node, the tending of the engine among them."""
    workers = delivery_workers_of(settings, resources)
    jobs = ("analyse", *map(_job, workers))
    requests = request_builder_of(settings, resources)
    processing = Processing(
        scheduler=scheduler,
        engine=engine,
        dispatcher=dispatcher_of(
            settings,
            resources,
            requests,
            engine,
            executor=partial(scheduler.once, "settle"),
            wake=partial(scheduler.wake, *jobs),
        ),
        delivery_workers=workers,
        prior_fetchers=prior_fetchers_of(settings, resources, requests),
    )
    _schedule(processing, settings, resources)
    scheduler.start()
    supervisor.watch("scheduler", scheduler)
    supervisor.observe("jobs", scheduler.look)
    supervisor.observe("clock", ClockWatch(scheduler.wake_all).poll)
    return processing


def _schedule(processing: Processing, settings: Settings, resources: Resources) -> None:
    """Enter every job, with the time between two of its runs."""
    every, closing, delivery = processing.scheduler.every, settings.closing, settings.delivery
    wake = partial(processing.scheduler.wake, "analyse")
    close = partial(
        close_quiet_series,
        resources,
        SeriesWatch(),
        quiet_seconds=closing.quiet_seconds,
        quiet_seconds_by_ae=closing.quiet_seconds_by_ae,
        wake=wake,
    )
    retention, consistency = retention_of(settings, resources), ConsistencyMonitor(resources)

    def maintain() -> None:
        """Remove what may go, then compare: what is half removed is not found missing."""
        if folder_is_away(resources):
            return
        retention.run_once()
        consistency.run_once()

    every(closing.check_every_seconds, "close", close)
    wishes = partial(start_requested_reruns, resources, wake)
    every(closing.check_every_seconds, "wishes", wishes, lane="close")
    every(closing.check_every_seconds, "analyse", processing.dispatcher.dispatch)
    every(TEND_SECONDS, "engine", processing.engine.tend)
    every(MAINTENANCE_SECONDS, "house", maintain)
    for worker in processing.delivery_workers:
        every(delivery.check_every_seconds, _job(worker), worker.run_once)
        processing.scheduler.once(f"probe:{worker.name}", worker.probe, lane=_job(worker))
    for fetcher in processing.prior_fetchers:
        every(PRIOR_FETCH_SECONDS, "history", fetcher.run_once)


def _job(worker: DeliveryWorker) -> str:
    return f"deliver:{worker.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A running node; `start_node` makes one."""

    resources: Resources
    supervisor: Supervisor
    lease: DatabaseLease
    reception: Reception
    processing: Processing

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the DICOM receiver is bound to."""
        return self.reception.address

    def stop(self) -> None:
        """Stop everything, in order; nothing that was accepted is lost."""
        log.info("node_draining")
        deadline = time.monotonic() + WORK_SECONDS
        self.supervisor.stop()
        self.processing.retire()
        self.reception.stop(deadline - ENGINE_SECONDS)
        self.processing.stop(deadline)
        _within(deadline + RELEASE_SECONDS, self._let_go)
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
        If an address cannot be listened on, or the database is another node's.
    """
    with ExitStack() as undo:
        undo.callback(resources.close)
        lease = acquire(resources, adopt=adopt, ending=ending)
        undo.callback(lease.stop)
        lease.start()
        with resources.sessions.begin() as session:
            recover(session, resources.clock())
        scheduler = Scheduler(resources.health)
        supervisor = Supervisor(resources.health, publish=condition_file_of(resources).publish)
        supervisor.watch("audit", resources.audit)
        supervisor.watch("lease", lease)
        reception = start_reception(settings, resources, scheduler, supervisor)
        undo.callback(lambda: reception.stop(time.monotonic() + WORK_SECONDS))
        engine = make_engine(settings, resources.health)
        undo.callback(engine.close)
        processing = start_processing(settings, resources, scheduler, supervisor, engine)
        supervisor.start()
        undo.pop_all()
    host, port = reception.address
    resources.audit.record(application(starts=True))
    log.info("node_started", ae_title=settings.node.ae_title, host=host, port=port)
    return Node(
        resources=resources,
        supervisor=supervisor,
        lease=lease,
        reception=reception,
        processing=processing,
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Say of an address that cannot be listened on which it is."""
    try:
        yield
    except OSError as fault:
        raise NodeError(f"cannot listen on {host}:{port}: {fault.strerror}") from fault


def serve(settings: Settings, log_writer: LogWriter, *, new_folder: bool = False) -> None:
    """Run a node until SIGTERM or SIGINT.

    Parameters
    ----------
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
    asked = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: asked.set())
    with only_node(settings.storage.folder):
        resources = open_resources(settings, any_folder=new_folder)
        node = start_node(settings, resources, adopt=new_folder, ending=asked)
        observe_log(node, log_writer)
        node.lease.when_lost(asked.set)
        try:
            asked.wait()
        finally:
            node.stop()
    end_process(log_writer, status=1 if node.lease.lost else 0)
    if node.lease.lost:
        raise NodeError(node.lease.lost)


def observe_log(node: Node, log_writer: LogWriter) -> None:
    """Have the supervisor look after the log, and tell what it loses."""
    node.supervisor.watch("log", log_writer)
    node.supervisor.observe("log lines", LogLoss(log_writer, node.resources.health).look)
