"""The side of a running node that takes instances in."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from pynetdicom import evt
from pynetdicom.events import Event

from config.settings import Settings
from dicom_node.assembly.reception import (
    commitment_peers_of,
    commitment_scp_of,
    index_writer_of,
    receiver_of,
    report_receivers_of,
    stow_receivers_of,
)
from dicom_node.assembly.security import (
    CertificateWatch,
    certificate_renewal_of,
    report_tls_of,
    server_tls_of,
)
from dicom_node.assembly.worklist import cancel_requests_of
from dicom_node.delivery.commitment.request import record_report
from dicom_node.delivery.commitment.scu import handle_report
from dicom_node.errors import NodeError
from dicom_node.identity_key import watch_identity_key
from dicom_node.logs import log
from dicom_node.maintenance.consistency import folder_is_away, tell_damaged
from dicom_node.network.addresses.networks import Networks
from dicom_node.network.sop_classes import WORKLIST_EVENT
from dicom_node.node.deadlines import DRAIN_SECONDS, time_left
from dicom_node.node.disk_room import watch_room
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.draining import Drain
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.notification_scp import NotificationScp
from dicom_node.reception.refusals import RefusalRecorder
from dicom_node.reception.reports.receiver import ReportReceiver
from dicom_node.reception.store_scp import Receiver
from dicom_node.reception.stow.server import StowReceiver
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Clock, Resources
from dicom_node.supervision.scheduler import Scheduler
from dicom_node.supervision.supervisor import Part, Supervisor
from dicom_node.worklist.cancel_request import CancelRequests
from storage.files.object_folder import ObjectFolder

FOLDER_SECONDS = 5.0  #: between two looks at whether the storage folder can be worked with
COPIES_SECONDS = 3600.0  #: between two looks at copies of what is in a bucket
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
    report_receivers
        One if signed reports are to be received, else none.
    """

    address: tuple[str, int]
    ingest: InstanceIngest
    index: IndexWriter
    refusals: RefusalRecorder
    commitment_scp: CommitmentScp
    receiver: Receiver
    stow_receivers: tuple[StowReceiver, ...]
    report_receivers: tuple[ReportReceiver, ...]
    certificates: CertificateWatch

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """Make what follows from settings; return what takes it up, and cannot fail.

        Raises
        ------
        NodeError
            If files of TLS are missing.
        """
        node = settings.node
        callers, peers = AllowedCallers.of(node.calling_aes), commitment_peers_of(settings)

        def take_up() -> None:
            self.receiver.take(callers, require_called_ae=node.require_called_ae)
            self.commitment_scp.take(peers)
            self.certificates.settings = settings

        return take_up

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
        self.receiver.drain(seconds=time_left(drained))
        for stow in self.stow_receivers:
            stow.drain(deadline=drained)
        for reports in self.report_receivers:
            reports.stop(drained)
        self.commitment_scp.stop()
        self.refusals.flush()
        self.index.stop(time_left(deadline))


def start_reception(
    settings: Settings,
    resources: Resources,
    scheduler: Scheduler,
    supervisor: Supervisor,
    transfers: Transfers,
    begin: Callable[[InstanceIngest], object] = InstanceIngest.scan,
) -> Reception:
    """Index what a crash left without a row, then listen.

    Parameters
    ----------
    transfers
        Is told of every instance that comes by an association.
    begin
        Indexes what a crash left.

    Raises
    ------
    NodeError
        If an address cannot be listened on, or files of TLS are missing.
    """
    wake = partial(scheduler.wake, "close")
    with ExitStack() as undo:
        index = index_writer_of(settings, resources)
        index.when_written = wake
        index.start()
        undo.callback(index.stop)
        ingest = _ingest_of(settings, resources, index, transfers, supervisor)
        begin(ingest)
        commitment_scp = commitment_scp_of(settings, index, resources, ingest.record_refusal)
        undo.callback(commitment_scp.stop)
        _look_after_folder(resources, scheduler)
        tls, report_tls = _tls(settings, scheduler)
        watch = CertificateWatch(settings=settings, resources=resources)
        scheduler.every(RENEWAL_SECONDS, "certificate dates", watch.look, lane="certificates")
        receiver, node = receiver_of(settings), settings.node
        with _listening(node.bind, node.port):
            address = receiver.listen(
                (node.bind, node.port),
                ingest,
                tls=tls,
                balancers=Networks.of(node.balancers),
                services=_services(
                    commitment_scp, cancel_requests_of(settings, resources), resources, ingest, wake
                ),
            )
        undo.callback(receiver.drain, seconds=0.0)
        stow_receivers = _stow(settings, ingest, tls)
        for stow in stow_receivers:
            undo.callback(stow.drain, deadline=0.0)
        report_receivers = _reports(settings, resources, ingest, report_tls)
        supervisor.watch("index", index)
        supervisor.observe("index", index.look)
        supervisor.observe("refusals", ingest.refusals.look)
        supervisor.watch("receiver", receiver)
        for name, part in _by_name(stow_receivers, report_receivers):
            supervisor.watch(name, part)
        undo.pop_all()
    return Reception(
        address=address,
        ingest=ingest,
        index=index,
        refusals=ingest.refusals,
        commitment_scp=commitment_scp,
        receiver=receiver,
        stow_receivers=stow_receivers,
        report_receivers=report_receivers,
        certificates=watch,
    )


def _tls(
    settings: Settings, scheduler: Scheduler
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Make the TLS contexts of our ports, and of that of reports; have renewed files taken up."""
    tls, report_tls = server_tls_of(settings), report_tls_of(settings)
    if contexts := [one for one in (tls, report_tls) if one is not None]:
        renewal = certificate_renewal_of(settings, *contexts)
        scheduler.every(RENEWAL_SECONDS, "certificates", renewal.poll)
    return tls, report_tls


def _stow(
    settings: Settings, ingest: InstanceIngest, tls: ssl.SSLContext | None
) -> tuple[StowReceiver, ...]:
    """Listen for STOW-RS requests, if the settings want that."""
    receivers, web = stow_receivers_of(settings), settings.dicomweb
    for stow in receivers:
        with _listening(web.bind, web.port):
            stow.listen((web.bind, web.port), ingest, tls=tls)
    return receivers


def _reports(
    settings: Settings, resources: Resources, ingest: InstanceIngest, tls: ssl.SSLContext | None
) -> tuple[ReportReceiver, ...]:
    """Listen for signed reports, if the settings want that."""
    receivers = report_receivers_of(settings, resources, ingest.record_refusal)
    for reports in receivers:
        with _listening(settings.reports.bind, settings.reports.port):
            reports.listen((settings.reports.bind, settings.reports.port), tls=tls)
    return receivers


def _by_name(
    stow: tuple[StowReceiver, ...], reports: tuple[ReportReceiver, ...]
) -> Iterator[tuple[str, Part]]:
    """Yield the receivers beside the DICOM receiver, as the supervisor calls them."""
    yield from (("STOW-RS receiver", one) for one in stow)
    yield from (("report receiver", one) for one in reports)


def _look_after_folder(resources: Resources, scheduler: Scheduler) -> None:
    scheduler.every(FOLDER_SECONDS, "folder", partial(_look_at_folder, resources))
    if isinstance(resources.folder, ObjectFolder):
        evict = partial(_remove_copies, resources.folder, resources.clock)
        scheduler.every(COPIES_SECONDS, "copies", evict)


def _look_at_folder(resources: Resources) -> None:
    if not folder_is_away(resources):
        watch_identity_key(resources)
        watch_room(resources)
        tell_damaged(resources)


def _remove_copies(folder: ObjectFolder, clock: Clock) -> None:
    """Remove copies that nobody has used for long."""
    if removed := folder.evict(clock()):
        log.info("copies_removed", copies=removed)


def _ingest_of(
    settings: Settings,
    resources: Resources,
    index: IndexWriter,
    transfers: Transfers,
    supervisor: Supervisor,
) -> InstanceIngest:
    """Make what keeps instances; it follows an operator's request to drain from now on."""
    ingest = InstanceIngest(resources, index, transfers)
    drain = Drain(resources.folder.root, resources.health, settings.node.receiver)
    ingest.why_nothing_further = lambda: drain.reason
    supervisor.observe("drain", drain.look)
    return ingest


def _services(
    commitment_scp: CommitmentScp,
    cancel_requests: CancelRequests | None,
    resources: Resources,
    ingest: InstanceIngest,
    wake: Callable[[], None],
) -> list[evt.EventHandlerType]:
    """Handlers of what peers ask of our port beside storage."""
    notifications = NotificationScp(resources, ingest.record_refusal, wake)

    return [
        report_handler(cancel_requests, resources),
        (evt.EVT_N_ACTION, commitment_scp.handle),
        *notifications.handlers,
    ]


def report_handler(
    cancel_requests: CancelRequests | None, resources: Resources
) -> evt.EventHandlerType:
    """Make what hears of work items, and of storage commitment, which both come as N-EVENT-REPORT.

    Parameters
    ----------
    cancel_requests
        None if there is no worklist manager.
    """
    record = partial(record_report, resources=resources)

    def report(event: Event) -> tuple[int, None]:
        if cancel_requests is not None and event.context.abstract_syntax == WORKLIST_EVENT:
            return cancel_requests.handle(event)
        return handle_report(event, record)

    return evt.EVT_N_EVENT_REPORT, report


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Say of an address that cannot be listened on which it is."""
    try:
        yield
    except OSError as fault:
        raise NodeError(f"cannot listen on {host}:{port}: {fault.strerror}") from fault
