"""Make what takes instances in."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.delivery.stow_sender import secret
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.network.sop_classes import NOTIFICATION_CLASSES, WORKLIST_EVENT
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.reports.receiver import ReportReceiver
from dicom_node.reception.reports.report_keeper import ReportKeeper
from dicom_node.reception.store_scp import Receiver
from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.server import StowReceiver
from dicom_node.resources import Resources
from pipeline.series.sop_classes import CT_CLASSES, DOCUMENT_CLASSES

MEGABYTE = 10**6  #: bytes


def index_writer_of(settings: Settings, resources: Resources) -> IndexWriter:
    """Make the writer of the rows of received instances."""
    index = IndexWriter(
        resources.sessions,
        resources.audit,
        resources.health,
        maximum_delay_seconds=settings.storage.row_delay_seconds,
    )
    index.when_entered = resources.folder.entered
    return index


def receiver_of(settings: Settings) -> Receiver:
    """Make the receiver that the settings describe."""
    node = settings.node
    return Receiver(
        ae_title=node.ae_title,
        callers=AllowedCallers.of(node.calling_aes),
        require_called_ae=node.require_called_ae,
        limits=AssociationLimits(
            associations=node.maximum_associations,
            of_one_address=node.maximum_associations_per_address,
            pdu_bytes=node.maximum_pdu_size,
            object_bytes=node.maximum_object_mb * MEGABYTE,
            silent_seconds=node.network_timeout_seconds,
        ),
        sop_classes=_sop_classes(settings),
        notified=(
            *(NOTIFICATION_CLASSES if settings.closing.notifications else ()),
            *((WORKLIST_EVENT,) if settings.worklist.manager else ()),
        ),
    )


def _sop_classes(settings: Settings) -> tuple[str, ...]:
    """SOP classes of the instances that are taken."""
    return (*CT_CLASSES, *DOCUMENT_CLASSES) if settings.node.feedback else CT_CLASSES


def stow_receivers_of(settings: Settings) -> tuple[StowReceiver, ...]:
    """Make the STOW-RS receiver that the settings describe; empty if there is to be none.

    Raises
    ------
    NodeError
        If the file with the token cannot be read.
    """
    web = settings.dicomweb
    if not web.port:
        return ()
    receiver = StowReceiver(
        token=secret("[dicomweb] token_file", web.token_file) if web.token_file else "",
        limits=Limits(
            request_bytes=web.maximum_request_mb * MEGABYTE,
            silent_seconds=settings.node.network_timeout_seconds,
        ),
        maximum_requests=web.maximum_requests,
        sop_classes=_sop_classes(settings),
    )
    return (receiver,)


def report_receivers_of(
    settings: Settings, resources: Resources, refuse: Callable[[Refusal], None]
) -> tuple[ReportReceiver, ...]:
    """Make the receiver of signed reports; empty if there is to be none."""
    if not settings.reports.port:
        return ()
    keeper = ReportKeeper(resources, refuse)
    return (ReportReceiver(settings.reports.senders, keeper.take, refuse),)


def commitment_scp_of(
    settings: Settings,
    index: IndexWriter,
    resources: Resources,
    refuse: Callable[[Refusal], None],
) -> CommitmentScp:
    """Make the Storage Commitment SCP; it reports by TLS if our port speaks TLS."""
    return CommitmentScp(
        index,
        resources,
        refuse,
        ae_title=settings.node.ae_title,
        peers=commitment_peers_of(settings),
    )


def commitment_peers_of(settings: Settings) -> dict[str, Peer]:
    """Say who may ask for storage commitment, and where they hear our reports.

    Raises
    ------
    NodeError
        If our port speaks TLS, and there are no files for that.
    """
    tls = credentials_of(settings.tls) if settings.tls.receive else None
    peers = {}
    for entry in settings.node.commitment_peers:
        ae_title, _, where = entry.rpartition("@")
        host, _, port = where.rpartition(":")
        peers[ae_title] = Peer(ae_title=ae_title, host=host, port=int(port), tls=tls)
    return peers
