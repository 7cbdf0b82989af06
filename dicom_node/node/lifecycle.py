"""Start every part of the node in order, and stop it in order.

Start: bring the database up to date, give back what a crash left claimed, index what it left
without a row; then receive; then analyse and deliver; a supervisor looks after all of it. A
receiver that shares database and storage folder with others begins with the last part only when
none of them is active. Stop:
receive nothing new and let associations finish, write the index, let the analysis that runs finish
or give it back, let delivery workers finish the object they are sending: in `STOP_SECONDS` at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.closing import archive_counts_of, archives_of
from dicom_node.assembly.engine import engine_of
from dicom_node.assembly.monitoring import counting, start_monitoring
from dicom_node.assembly.resources import condition_file_of, open_resources
from dicom_node.audit.messages import application
from dicom_node.closing.archive_counts import ArchiveCounts
from dicom_node.database_lease import DatabaseLease, acquire
from dicom_node.errors import NodeError
from dicom_node.fleet.membership import Membership, join
from dicom_node.folder_lock import SharedFolder, one_of_several, only_node
from dicom_node.health import Health
from dicom_node.identity_key import keyed
from dicom_node.log_writer import LogWriter
from dicom_node.logs import log
from dicom_node.node.deadlines import (
    STOP_SECONDS,
    WORK_SECONDS,
)
from dicom_node.node.reception import start_reception
from dicom_node.node.running_node import Node, give_back
from dicom_node.node.taking_up import TakingUp
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources
from dicom_node.supervision.process_end import end_process, ended_within
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.stop_request import stop_request
from dicom_node.supervision.supervisor import LogLoss, Supervisor


def start_node(
    settings: Settings,
    resources: Resources,
    *,
    make_engine: Callable[[Settings, Health], ComputeEngine] = engine_of,
    adopt: bool = False,
    ending: threading.Event | None = None,
    shared: SharedFolder | None = None,
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
    shared
        The storage folder as a receiver holds it that shares it; None of a node of its own.

    Raises
    ------
    NodeError
        If an address cannot be listened on, the database is another node's, or the identity key is
        lost.
    """
    with ExitStack() as undo:
        undo.callback(resources.close)
        claim: DatabaseLease | Membership
        if shared is None:
            claim = acquire(resources, adopt=adopt, ending=ending)
        else:
            claim = join(resources, settings.node.receiver, shared, adopt=adopt, ending=ending)
        undo.callback(claim.stop)
        claim.start()
        resources = keyed(resources, forget=adopt)
        if isinstance(claim, DatabaseLease):
            give_back(resources)
        scheduler = Scheduler(resources.health)
        publish = condition_file_of(settings, resources).publish
        supervisor = Supervisor(resources.health, publish=publish)
        supervisor.watch("audit", resources.audit)
        transfers = Transfers()
        counts = _archive_counts(settings, resources, transfers, of_receiver=shared is not None)
        undo.callback(counts.stop)
        reception = start_reception(
            settings, resources, scheduler, supervisor, transfers, partial(_begin, shared)
        )
        undo.callback(lambda: reception.stop(time.monotonic() + WORK_SECONDS))
        engine = make_engine(settings, resources.health)
        undo.callback(engine.close)
        node = Node(
            resources=resources,
            supervisor=supervisor,
            scheduler=scheduler,
            reception=reception,
            engine=engine,
            transfers=transfers,
            counts=counts,
            taking_up=TakingUp(settings, reception.prepared, partial(_prepared, counts)),
        )
        node.start(settings, claim)
        undo.pop_all()
    host, port = reception.address
    resources.audit.record(application(starts=True))
    log.info("node_started", ae_title=settings.node.ae_title, host=host, port=port)
    return node


def _begin(shared: SharedFolder | None, ingest: InstanceIngest) -> None:
    """Index what a crash left; what receivers left beside others, the active one takes up."""
    if shared is None or shared.is_alone:
        ingest.scan()
    if shared is not None:
        shared.admit()


def _archive_counts(
    settings: Settings, resources: Resources, transfers: Transfers, *, of_receiver: bool
) -> ArchiveCounts:
    """Make what asks archives: a node of its own from the first instance on.

    A receiver that shares the folder asks once it is active.
    """
    counts = archive_counts_of(settings, resources, transfers)
    if not of_receiver:
        transfers.when_begun = counts.begin
    return counts


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
    with held_folder(settings, asked) as shared:
        log.info("node_starting")  # what follows may have to wait for the database
        is_alone = shared is None or shared.is_alone
        resources = open_resources(settings, any_folder=new_folder, is_alone=is_alone)
        counted = counting(settings, resources)  # what comes as soon as the port is open, too
        node = start_node(settings, resources, adopt=new_folder, ending=asked, shared=shared)
        node.follow(ini, settings)
        observe_log(node, log_writer)
        stop_monitoring = monitored(node, settings, counted)
        node.when_over(asked.set)
        try:
            asked.wait()
        finally:
            with ended_within(STOP_SECONDS, log_writer, lambda: int(bool(node.over))):
                stop_monitoring()
                node.stop()
    end_process(log_writer, status=1 if node.over else 0)
    if node.over:
        raise NodeError(node.over)


@contextmanager
def held_folder(
    settings: Settings, ending: threading.Event | None = None
) -> Iterator[SharedFolder | None]:
    """Hold the storage folder: with other receivers if the settings say so, else alone (None).

    Parameters
    ----------
    ending
        Set when the process is to end, which ends a wait for a receiver that starts alone.

    Raises
    ------
    AlreadyRunning
        If another node uses the same storage folder, or a receiver of the same name.
    NodeError
        If it was to end while it waited.
    """
    if settings.node.receiver:
        with one_of_several(settings.storage.folder, settings.node.receiver, ending) as shared:
            if settings.storage.objects:  # nobody knows who runs on other hosts
                shared.admit()
            yield shared
    else:
        with only_node(settings.storage.folder):
            yield None


def monitored(node: Node, settings: Settings, counted: CollectorRegistry) -> Callable[[], None]:
    """Serve metrics and health, if the settings want that; return what ends it.

    Where the address cannot be listened on the node works all the same, and says so.

    Parameters
    ----------
    counted
        Of the events that are counted.
    """
    if not settings.monitoring.port:
        return lambda: None
    try:
        server = start_monitoring(
            settings,
            node.resources,
            counted,
            lambda: node.destinations,
            lambda: node.taking_up.settings.analysis.expires,
        )
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
