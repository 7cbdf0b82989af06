"""The node: everything composed, started in order and stopped in order.

Start: lock the folder, bring the database up to date, give back what a crash left claimed, index
what it left without a row; then receive; then analyse and deliver. Stop: receive nothing new and
let associations finish, write the index, let the analysis that runs finish or give it back, let
couriers finish the object they are sending.
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
from dicom_node.analysis import worker
from dicom_node.analysis.dispatcher import Analyst, Patience
from dicom_node.analysis.engine import Engine, Task
from dicom_node.analysis.messages import Answer
from dicom_node.analysis.notices import Notices
from dicom_node.analysis.prior_fetch import Historian
from dicom_node.assembly import (
    briefing_of,
    courier_of,
    credentials_of,
    engine_of,
    historian_of,
    open_store,
    purging_of,
    receiver_of,
    web_receiver_of,
    witness_of,
)
from dicom_node.audit.messages import application
from dicom_node.delivery.commitment_scu import answered, handle_report
from dicom_node.delivery.worker import Courier
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.logs import log
from dicom_node.maintenance.consistency import Watch
from dicom_node.maintenance.retention import ROUND_SECONDS
from dicom_node.network.tls import Renewal, server_context
from dicom_node.reception.index_writer import Index
from dicom_node.reception.ingest import Reception
from dicom_node.reception.store_scp import tell_turned_away
from dicom_node.scheduler import Schedule
from storage.errors import StaleState
from storage.maintenance.recovery import recover
from storage.series.lifecycle import SeriesTicket, close, due_to_close
from storage.series.rerun import take_up

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
        self, settings: Settings, *, make_engine: Callable[[Settings], Engine] | None = None
    ) -> None:
        self._settings = settings
        self._make_engine = make_engine or engine_of
        self.store = open_store(settings)
        self._index = Index(self.store.sessions, self.store.audit)
        self._purging, self._watch = purging_of(settings, self.store), Watch(self.store)
        self._reception = Reception(self.store, self._index)
        self._witness = witness_of(settings, self._index, self.store)
        self._receiver, self._web = receiver_of(settings), web_receiver_of(settings)
        self._schedule = Schedule()
        self._engine: Engine | None = None
        self._analyst: Analyst | None = None
        self._historian: Historian | None = None
        self._couriers = [
            courier_of(settings, destination, self.store)
            for destination in settings.destinations
            if destination.enabled
        ]

    def start(self) -> tuple[str, int]:
        """Start everything; return the address that is listened on."""
        settings = self._settings
        with self.store.sessions.begin() as session:
            recover(session, self.store.clock())
        self._index.start()
        self._reception.scan()
        address = self._listen()
        self._analyst = self._start_analyst()
        self._plan(self._analyst)
        self.store.audit.note(application(starts=True))
        log.info("node_started", ae_title=settings.node.ae_title, host=address[0], port=address[1])
        return address

    def _listen(self) -> tuple[str, int]:
        node, tls = self._settings.node, self._settings.tls
        context = None
        if tls.receive:
            credentials = credentials_of(tls)
            context = server_context(credentials, verify_peers=tls.verify_peers)
            renewal = Renewal(credentials=credentials, contexts=(context,))
            self._schedule.every(RENEWAL_SECONDS, "certificates", renewal.look)
        with _listening(node.bind, node.port):
            address = self._receiver.listen(
                (node.bind, node.port), self._reception, tls=context, services=self._services()
            )
        if self._web is not None:
            web = self._settings.dicomweb
            with _listening(web.bind, web.port):
                self._web.listen((web.bind, web.port), self._reception, tls=context)
        return address

    def _services(self) -> list[evt.EventHandlerType]:
        """Answer what is asked beside storage, and tell of who is turned away."""
        when_answered = partial(answered, store=self.store)
        return [
            (evt.EVT_N_EVENT_REPORT, handle_report, [when_answered]),
            (evt.EVT_N_ACTION, self._witness.handle),
            (evt.EVT_REJECTED, tell_turned_away, [self.store.audit]),
        ]

    def _start_analyst(self) -> Analyst:
        """Start the engine, and have it load the models."""
        settings, briefing = self._settings, briefing_of(self._settings, self.store)
        self._engine = engine = self._make_engine(settings)
        # kept, for a task that is forgotten is cancelled
        self._warm_up = engine.submit(worker.warm_up, briefing.analyser)
        self._historian = historian_of(settings, briefing)
        return Analyst(
            workers=engine,
            briefing=briefing,
            notices=Notices(briefing, settings.results.not_analysed),
            patience=Patience(
                attempts=settings.engine.attempts,
                task_timeout_seconds=settings.engine.task_timeout_seconds,
                urgent_aes=frozenset(settings.analysis.urgent_aes),
            ),
            destinations=[courier.name for courier in self._couriers],
            when_done=self._analysis_done,
        )

    def _plan(self, analyst: Analyst) -> None:
        """Say what happens how often."""
        check = self._settings.closing.check_every_seconds
        self._schedule.every(check, "close", self._close_quiet)
        self._schedule.every(check, "wishes", self._take_up_wishes)
        self._schedule.every(check, "analyse", analyst.dispatch)
        self._schedule.every(ROUND_SECONDS, "house", self._keep_house)
        for courier in self._couriers:
            self._schedule.every(
                self._settings.delivery.check_every_seconds, _job(courier), courier.round
            )
            self._schedule.once(f"probe:{courier.name}", courier.probe)
        if self._historian is not None:
            self._schedule.every(HISTORY_SECONDS, "history", self._historian.round)
        self._schedule.start()

    def _close_quiet(self) -> None:
        """Close every series that has been quiet long enough."""
        closing = self._settings.closing
        with self.store.sessions.begin() as session:
            now = self.store.clock()
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
            self._schedule.wake("analyse")

    def _take_up_wishes(self) -> None:
        """Have series worked on again that a person wants so."""
        with self.store.sessions.begin() as session:
            wished = take_up(session, self.store.clock())
        for uid in wished:
            log.info("wish_taken_up", series_uid=uid)
        if wished:
            self._schedule.wake("analyse")

    def _keep_house(self) -> None:
        """Remove what may go, then compare: what is half removed is not found missing."""
        self._purging.round()
        self._watch.round()

    def _analysis_done(self, ticket: SeriesTicket, job: Task[Answer]) -> None:
        """Settle on a thread of ours (the engine's must not wait for the disk)."""
        self._schedule.once("settle", self._settle, ticket, job)

    def _settle(self, ticket: SeriesTicket, job: Task[Answer]) -> None:
        if self._analyst is not None:
            self._analyst.settle(ticket, job)
        for name in ("analyse", *map(_job, self._couriers)):
            self._schedule.wake(name)

    def stop(self) -> None:
        """Stop everything, in order; nothing that was accepted is lost."""
        log.info("node_draining")
        deadline = time.monotonic() + DRAIN_SECONDS
        if self._web is not None:
            self._web.retire()
        self._receiver.drain(seconds=DRAIN_SECONDS)
        if self._web is not None:
            self._web.drain(deadline=deadline)
        self._witness.stop()
        self._index.stop()
        if self._analyst is not None:
            self._schedule.remove("analyse")
            self._analyst.wait_until_idle(seconds=DRAIN_SECONDS)
            for worker in (*self._couriers, self._historian):
                if worker is not None:
                    worker.stop()
            self._schedule.stop()
        if self._engine is not None:
            self._engine.close()
        with self.store.sessions.begin() as session:
            recover(session, self.store.clock(), counted=False)  # what did not finish
        self.store.audit.note(application(starts=False))
        self.store.close()
        log.info("node_stopped")


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Say of an address that cannot be listened on which it is."""
    try:
        yield
    except OSError as fault:
        raise NodeError(f"cannot listen on {host}:{port}: {fault.strerror}") from fault


def _job(courier: Courier) -> str:
    return f"deliver:{courier.name}"


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
