"""The node: everything composed, started in order and stopped in order.

Start: lock the folder, bring the database up to date, give back what a crash left claimed, index
what it left without a row; then receive; then analyse and deliver. Stop: receive nothing new and
let associations finish, write the index, let the analysis that runs finish or give it back, let
delivery workers finish the object they are sending.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from pynetdicom import evt

from config.settings import Settings
from dicom_node.analysis.dispatcher import AnalysisDispatcher, AttemptPolicy
from dicom_node.analysis.engine import ComputeEngine, Task
from dicom_node.analysis.messages import AnalysisResult
from dicom_node.analysis.notices import Notices
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.worker import warm_up
from dicom_node.assembly import (
    commitment_scp_of,
    credentials_of,
    delivery_worker_of,
    engine_of,
    open_resources,
    prior_fetcher_of,
    receiver_of,
    request_builder_of,
    retention_of,
    stow_receiver_of,
)
from dicom_node.audit.messages import application
from dicom_node.delivery.commitment_scu import answered, handle_report
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.logs import log
from dicom_node.maintenance.consistency import ConsistencyMonitor
from dicom_node.maintenance.retention import ROUND_SECONDS
from dicom_node.network.tls import Renewal, server_context
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.store_scp import audit_rejection
from dicom_node.scheduler import Scheduler
from storage.errors import StaleState
from storage.maintenance.recovery import recover
from storage.series.lifecycle import SeriesTicket, close, due_to_close
from storage.series.rerun import start_reruns

DRAIN_SECONDS = 20.0  #: how long open associations, and then the running analysis, may finish
HISTORY_SECONDS = 10.0  #: how often we look what is to be searched for in archives
RENEWAL_SECONDS = 60.0  #: how often we look whether certificates were renewed


class Node:
    """A running node.

    Parameters
    ----------
    make_engine
        Starts what analyses run on.
    """

    def __init__(
        self, settings: Settings, *, make_engine: Callable[[Settings], ComputeEngine] | None = None
    ) -> None:
        self._settings = settings
        self._make_engine = make_engine or engine_of
        self.resources = open_resources(settings)
        self._index = IndexWriter(self.resources.sessions, self.resources.audit)
        self._retention, self._watch = (
            retention_of(settings, self.resources),
            ConsistencyMonitor(self.resources),
        )
        self._ingest = InstanceIngest(self.resources, self._index)
        self._commitment_scp = commitment_scp_of(settings, self._index, self.resources)
        self._receiver, self._web = receiver_of(settings), stow_receiver_of(settings)
        self._scheduler = Scheduler()
        self._engine: ComputeEngine | None = None
        self._dispatcher: AnalysisDispatcher | None = None
        self._prior_fetcher: PriorFetcher | None = None
        self._delivery_workers = [
            delivery_worker_of(settings, destination, self.resources)
            for destination in settings.destinations
            if destination.enabled
        ]

    def start(self) -> tuple[str, int]:
        """Start everything; return the address that is listened on."""
        settings = self._settings
        with self.resources.sessions.begin() as session:
            recover(session, self.resources.clock())
        self._index.start()
        self._ingest.scan()
        address = self._listen()
        self._dispatcher = self._start_analyst()
        self._plan(self._dispatcher)
        self.resources.audit.note(application(starts=True))
        log.info("node_started", ae_title=settings.node.ae_title, host=address[0], port=address[1])
        return address

    def _listen(self) -> tuple[str, int]:
        node, tls = self._settings.node, self._settings.tls
        context = None
        if tls.receive:
            credentials = credentials_of(tls)
            context = server_context(credentials, verify_peers=tls.verify_peers)
            renewal = Renewal(credentials=credentials, contexts=(context,))
            self._scheduler.every(RENEWAL_SECONDS, "certificates", renewal.look)
        with _listening(node.bind, node.port):
            address = self._receiver.listen(
                (node.bind, node.port), self._ingest, tls=context, services=self._services()
            )
        if self._web is not None:
            web = self._settings.dicomweb
            with _listening(web.bind, web.port):
                self._web.listen((web.bind, web.port), self._ingest, tls=context)
        return address

    def _services(self) -> list[evt.EventHandlerType]:
        """Answer what is asked beside storage, and tell of who is turned away."""
        when_answered = partial(answered, resources=self.resources)
        return [
            (evt.EVT_N_EVENT_REPORT, handle_report, [when_answered]),
            (evt.EVT_N_ACTION, self._commitment_scp.handle),
            (evt.EVT_REJECTED, audit_rejection, [self.resources.audit]),
        ]

    def _start_analyst(self) -> AnalysisDispatcher:
        """Start the engine, and have it load the models."""
        settings, request_builder = (
            self._settings,
            request_builder_of(self._settings, self.resources),
        )
        self._engine = engine = self._make_engine(settings)
        # kept, for a task that is forgotten is cancelled
        self._warm_up = engine.submit(warm_up, request_builder.config)
        self._prior_fetcher = prior_fetcher_of(settings, request_builder)
        return AnalysisDispatcher(
            workers=engine,
            request_builder=request_builder,
            notices=Notices(request_builder, settings.results.not_analysed),
            policy=AttemptPolicy(
                attempts=settings.engine.attempts,
                task_timeout_seconds=settings.engine.task_timeout_seconds,
                urgent_aes=frozenset(settings.analysis.urgent_aes),
            ),
            destinations=[worker.name for worker in self._delivery_workers],
            when_done=self._analysis_done,
        )

    def _plan(self, dispatcher: AnalysisDispatcher) -> None:
        """Say what happens how often."""
        check = self._settings.closing.check_every_seconds
        self._scheduler.every(check, "close", self._close_quiet)
        self._scheduler.every(check, "wishes", self._take_up_wishes)
        self._scheduler.every(check, "analyse", dispatcher.dispatch)
        self._scheduler.every(ROUND_SECONDS, "house", self._keep_house)
        for worker in self._delivery_workers:
            self._scheduler.every(
                self._settings.delivery.check_every_seconds, _job(worker), worker.round
            )
            self._scheduler.once(f"probe:{worker.name}", worker.probe)
        if self._prior_fetcher is not None:
            self._scheduler.every(HISTORY_SECONDS, "history", self._prior_fetcher.round)
        self._scheduler.start()

    def _close_quiet(self) -> None:
        """Close every series that has been quiet long enough."""
        closing = self._settings.closing
        with self.resources.sessions.begin() as session:
            now = self.resources.clock()
            quiet = due_to_close(
                session,
                now,
                lambda ae: closing.quiet_seconds_by_ae.get(ae, closing.quiet_seconds),
            )
            for series in quiet:
                with suppress(StaleState):  # an instance came just now: it is quiet no more
                    close(session, series, now)
                    log.info(
                        "series_closed",
                        series_uid=series.series_instance_uid,
                        generation=series.generation,
                        instances=series.instances,
                        calling_ae=series.calling_ae,
                    )
        if quiet:
            self._scheduler.wake("analyse")

    def _take_up_wishes(self) -> None:
        """Have series worked on again that a person wants so."""
        with self.resources.sessions.begin() as session:
            wished = start_reruns(session, self.resources.clock())
        for uid in wished:
            log.info("wish_taken_up", series_uid=uid)
        if wished:
            self._scheduler.wake("analyse")

    def _keep_house(self) -> None:
        """Remove what may go, then compare: what is half removed is not found missing."""
        self._retention.round()
        self._watch.round()

    def _analysis_done(self, ticket: SeriesTicket, job: Task[AnalysisResult]) -> None:
        """Settle on a thread of ours (the engine's must not wait for the disk)."""
        self._scheduler.once("settle", self._settle, ticket, job)

    def _settle(self, ticket: SeriesTicket, job: Task[AnalysisResult]) -> None:
        if self._dispatcher is not None:
            self._dispatcher.settle(ticket, job)
        for name in ("analyse", *map(_job, self._delivery_workers)):
            self._scheduler.wake(name)

    def stop(self) -> None:
        """Stop everything, in order; nothing that was accepted is lost."""
        log.info("node_draining")
        deadline = time.monotonic() + DRAIN_SECONDS
        if self._web is not None:
            self._web.retire()
        self._receiver.drain(seconds=DRAIN_SECONDS)
        if self._web is not None:
            self._web.drain(deadline=deadline)
        self._commitment_scp.stop()
        self._index.stop()
        if self._dispatcher is not None:
            self._scheduler.remove("analyse")
            self._dispatcher.wait_until_idle(seconds=DRAIN_SECONDS)
            for worker in (*self._delivery_workers, self._prior_fetcher):
                if worker is not None:
                    worker.stop()
            self._scheduler.stop()
        if self._engine is not None:
            self._engine.close()
        with self.resources.sessions.begin() as session:
            recover(session, self.resources.clock(), counted=False)  # what did not finish
        self.resources.audit.note(application(starts=False))
        self.resources.close()
        log.info("node_stopped")


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Say of an address that cannot be listened on which it is."""
    try:
        yield
    except OSError as fault:
        raise NodeError(f"cannot listen on {host}:{port}: {fault.strerror}") from fault


def _job(worker: DeliveryWorker) -> str:
    return f"deliver:{worker.name}"


def serve(settings: Settings) -> None:
    """Run a node until SIGTERM or SIGINT.

    Raises
    ------
    AlreadyRunning
        If another node uses the same storage folder.
    """
    os.umask(0o077)  # what is kept here is about patients: for this user alone
    asked = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: asked.set())
    with only_node(settings.storage.folder):
        node = Node(settings)
        try:
            node.start()
            asked.wait()
        finally:
            node.stop()
