"""Make every part of a node from the settings; `dicom_node.node` starts them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from config.destinations import Destination, DicomDestination, WebDestination
from config.network import TlsSettings
from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of, software_version
from dicom_node.analysis.consequences import AttemptPolicy
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.engine.connection import EMBEDDED, EngineAddress, connect
from dicom_node.analysis.engine.worker_proof import Requirements, prove
from dicom_node.analysis.not_analysed_notices import Notices
from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.analysis.prior_fetch import PriorFetcher
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.workers import Executor, Workers
from dicom_node.audit.syslog import NO_AUDIT, AuditSink, Server, SyslogAudit
from dicom_node.database_lease import owner
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.commitment.query import StoredCheck
from dicom_node.delivery.commitment.request import CommitmentRequester
from dicom_node.delivery.commitment.scu import CommitmentScu
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.sender import Sender
from dicom_node.delivery.stow_sender import StowSender, secret
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.errors import NodeError
from dicom_node.health import ConditionFile, Health
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import RetentionJob
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.network.tls import Credentials, Renewal, client_context, server_context
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.store_scp import Receiver
from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.server import StowReceiver
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import migrate, open_database, require_migrated
from storage.database.lease import read_lease
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation, installation_of
from storage.maintenance.retention import RetentionRules
from storage.series.instances import has_kept_instances

MEGABYTE, GIGABYTE = 10**6, 10**9


def open_resources(settings: Settings, *, any_folder: bool = False) -> Resources:
    """Open the storage folder and the database, and bring its tables up to date.

    The first time, the identity of the installation is drawn.

    Parameters
    ----------
    any_folder
        Whether a folder without an identity is taken though the database knows files.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If the database cannot be opened, or is of a newer version.
    NodeError
        If it knows files and the folder is a new one.
    """
    settings.storage.folder.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    migrate(database)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    if not any_folder:
        _check_folder(settings.storage.folder, sessions, "dicom-node run --new-folder")
    folder = StorageFolder(settings.storage.folder, int(settings.storage.reserve_gb * GIGABYTE))
    draw_installation(folder.root)
    return Resources(
        sessions=sessions,
        folder=folder,
        audit=audit_of(settings),
    )


def audit_of(settings: Settings) -> AuditSink:
    """Make the sink of audit messages.

    Raises
    ------
    NodeError
        If that is to be by TLS, and there are no files for it.
    """
    host, _, port = settings.audit.syslog.rpartition(":")
    protocol = settings.audit.protocol
    if not host:
        return NO_AUDIT
    tls = client_context(credentials_of(settings.tls)) if protocol == "tls" else None
    server = Server(host=host, port=int(port), protocol=protocol, tls=tls)
    return SyslogAudit(server, source=settings.node.ae_title)


def engine_of(settings: Settings, health: Health) -> ComputeEngine:
    """Make the engine that the settings describe; it connects when it is tended."""
    address = engine_address_of(settings)
    return ComputeEngine(
        partial(connect, address),
        partial(prove, requirements_of(settings)),
        health,
        renewed=address.scheduler == EMBEDDED,
    )


def engine_address_of(settings: Settings) -> EngineAddress:
    """Say where the engine is.

    Raises
    ------
    NodeError
        If some of the files for TLS with it are configured, and others are not.
    """
    engine = settings.engine
    files = {
        "certificate": engine.certificate,
        "key": engine.key,
        "authorities": engine.authorities,
    }
    given = {name: file for name, file in files.items() if file is not None}
    if given and len(given) < len(files):
        raise NodeError(
            f"[engine] certificate, key, authorities: expected all three, got {', '.join(given)}"
        )
    return EngineAddress(
        scheduler=engine.scheduler,
        threads=settings.analysis.threads,
        memory_limit_gb=engine.memory_limit_gb,
        credentials=Credentials(**given) if given else None,
    )


def requirements_of(settings: Settings) -> Requirements:
    """Say what a worker must show before it gets a task."""
    return Requirements(
        software=software_version(),
        storage=settings.storage.folder.absolute(),
        installation=installation_of(settings.storage.folder),
        config=analysis_config_of(settings),
    )


def condition_file_of(resources: Resources) -> ConditionFile:
    """Make the file in which the condition of the node can be read."""
    return ConditionFile(resources.folder.root, resources.health, resources.clock)


def index_writer_of(settings: Settings, resources: Resources) -> IndexWriter:
    """Make the writer of the rows of received instances."""
    return IndexWriter(
        resources.sessions,
        resources.audit,
        resources.health,
        maximum_delay_seconds=settings.storage.row_delay_seconds,
    )


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
    )


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
    )
    return (receiver,)


def server_tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Make the TLS context of our ports; None if they are to be plain.

    Raises
    ------
    NodeError
        If a file is missing or is not what it should be.
    """
    tls = settings.tls
    if not tls.receive:
        return None
    return server_context(credentials_of(tls), verify_peers=tls.verify_peers)


def certificate_renewal_of(settings: Settings, context: ssl.SSLContext) -> Renewal:
    """Make what takes up renewed certificate files for our ports."""
    return Renewal(credentials=credentials_of(settings.tls), contexts=(context,))


def commitment_scp_of(
    settings: Settings, index: IndexWriter, resources: Resources
) -> CommitmentScp:
    """Make the Storage Commitment SCP; it reports by TLS if our port speaks TLS."""
    tls = credentials_of(settings.tls) if settings.tls.receive else None
    peers = {}
    for entry in settings.node.commitment_peers:
        ae_title, _, where = entry.rpartition("@")
        host, _, port = where.rpartition(":")
        peers[ae_title] = Peer(ae_title=ae_title, host=host, port=int(port), tls=tls)
    return CommitmentScp(index, resources.folder, ae_title=settings.node.ae_title, peers=peers)


def credentials_of(tls: TlsSettings) -> Credentials:
    """Find the files for TLS.

    Raises
    ------
    NodeError
        If one is not configured.
    """
    certificate, key, authorities = tls.certificate, tls.key, tls.authorities
    if certificate is None or key is None or authorities is None:
        raise NodeError("[tls] certificate, key, authorities: expected the files, got none")
    return Credentials(certificate=certificate, key=key, authorities=authorities)


def peer_of(settings: Settings, destination: Destination) -> Peer:
    """Make the peer that a destination describes.

    Raises
    ------
    NodeError
        If it is reached by DICOMweb: then there is no association to it.
    """
    if not isinstance(destination, DicomDestination):
        raise NodeError(
            f"expected a destination with an AE title, got {destination.name}, which is reached by"
            " DICOMweb: it cannot be asked what it takes"
        )
    return Peer(
        ae_title=destination.ae_title,
        host=destination.host,
        port=destination.port,
        timeout_seconds=destination.timeout_seconds,
        tls=credentials_of(settings.tls) if destination.tls else None,
    )


def sender_of(settings: Settings, destination: Destination) -> Sender:
    """Make the sender to one destination."""
    if isinstance(destination, WebDestination):
        return stow_sender_of(settings, destination)
    return DicomSender(peer=peer_of(settings, destination), calling_ae=settings.node.ae_title)


def stow_sender_of(settings: Settings, destination: WebDestination) -> StowSender:
    """Make the sender to one DICOMweb service."""
    return StowSender(
        url=destination.url,
        timeout_seconds=destination.timeout_seconds,
        user=destination.user,
        password_file=destination.password_file,
        token_file=destination.token_file,
        authorities=settings.tls.authorities,
    )


def delivery_workers_of(settings: Settings, resources: Resources) -> tuple[DeliveryWorker, ...]:
    """Make a delivery worker for every destination that is enabled."""
    return tuple(
        delivery_worker_of(settings, destination, resources)
        for destination in settings.destinations
        if destination.enabled
    )


def delivery_worker_of(
    settings: Settings, destination: Destination, resources: Resources
) -> DeliveryWorker:
    """Make the delivery worker of one destination."""
    delivery = settings.delivery
    return DeliveryWorker(
        destination.name,
        sender_of(settings, destination),
        backoff=Backoff(
            first_seconds=delivery.retry_first_seconds,
            factor=delivery.retry_factor,
            max_seconds=delivery.retry_max_seconds,
            give_up_after=timedelta(hours=delivery.give_up_after_hours),
        ),
        resources=resources,
        requester=commitment_requester_of(settings, destination, resources),
    )


def commitment_requester_of(
    settings: Settings, destination: Destination, resources: Resources
) -> CommitmentRequester | None:
    """Make what asks one destination if it keeps what it accepted; None if it is not asked."""
    if not isinstance(destination, DicomDestination) or destination.verify == "no":
        return None
    kind = CommitmentScu if destination.verify == "commitment" else StoredCheck
    return kind(
        destination.name,
        peer_of(settings, destination),
        calling_ae=settings.node.ae_title,
        again=timedelta(hours=settings.delivery.verify_again_hours),
        resources=resources,
    )


def prior_fetchers_of(
    settings: Settings, resources: Resources, request_builder: RequestBuilder
) -> tuple[PriorFetcher, ...]:
    """Make what fetches prior studies from archives; empty if none is to be asked."""
    archives = [
        destination
        for destination in settings.destinations
        if isinstance(destination, DicomDestination)
        and destination.enabled
        and destination.earlier_studies
    ]
    if not (archives and settings.results.priors):
        return ()
    fetcher = PriorFetcher(
        resources,
        [peer_of(settings, archive) for archive in archives],
        request_builder,
        ae_title=settings.node.ae_title,
        min_slices=settings.selection.min_slices,
    )
    return (fetcher,)


def dispatcher_of(
    settings: Settings,
    resources: Resources,
    request_builder: RequestBuilder,
    workers: Workers,
    *,
    executor: Executor,
    wake: Callable[[], None],
) -> AnalysisDispatcher:
    """Make the dispatcher of analyses.

    Parameters
    ----------
    executor, wake
        As :class:`AnalysisDispatcher` takes them.
    """
    return AnalysisDispatcher(
        resources=resources,
        workers=workers,
        request_builder=request_builder,
        notices=Notices(resources.folder, request_builder, settings.results.not_analysed),
        policy=AttemptPolicy(
            attempts=settings.engine.attempts,
            task_timeout_seconds=settings.engine.task_timeout_seconds,
            first_wait=timedelta(seconds=settings.engine.retry_first_seconds),
            urgent_aes=frozenset(settings.analysis.urgent_aes),
        ),
        outcomes=OutcomeWriter(resources, _enabled(settings)),
        executor=executor,
        wake=wake,
    )


def request_builder_of(settings: Settings, resources: Resources) -> RequestBuilder:
    """Make the builder of requests for workers."""
    return RequestBuilder(
        resources,
        analysis_config_of(settings),
        compare=settings.results.priors,
        destinations=_enabled(settings),
    )


def retention_of(settings: Settings, resources: Resources) -> RetentionJob:
    """Make the job of retention."""
    retention = settings.retention
    return RetentionJob(
        resources=resources,
        clock=ConfirmedClock(resources.clock),
        rules=RetentionRules(
            keep=timedelta(days=retention.keep_days) if retention.keep_days else None,
            committing=frozenset(
                destination.name
                for destination in settings.destinations
                if isinstance(destination, DicomDestination) and destination.verify != "no"
            ),
        ),
        free_bytes=int(retention.disk_pressure_gb * GIGABYTE),
        keep_quarantine=(
            timedelta(days=retention.quarantine_days) if retention.quarantine_days else None
        ),
    )


def _enabled(settings: Settings) -> list[str]:
    return [destination.name for destination in settings.destinations if destination.enabled]


def existing_resources(settings: Settings, *, any_folder: bool = False) -> Resources:
    """Open what a node has made, whether it runs or not.

    Parameters
    ----------
    any_folder
        As `open_resources` takes it.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If there is no database, one of another version, or it is away.
    NodeError
        If it knows files and the folder is a new one.
    """
    database = open_database(settings.database_url)
    require_migrated(database)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    if not any_folder:
        check_installation(settings.storage.folder, sessions, "dicom-node doctor --mend --force")
    return Resources(sessions=sessions, folder=StorageFolder(settings.storage.folder, 0))


def _check_folder(folder: Path, sessions: Sessions, nevertheless: str) -> None:
    """Check that a folder without the identity of an installation belongs to an empty database.

    Raises
    ------
    NodeError
        If the database knows files: the folder is not mounted, or is not the one of this database.
    """
    if not installation_of(folder):
        _refuse(folder, sessions, nevertheless, "in which no node has run: is it mounted?")


def check_installation(folder: Path, sessions: Sessions, nevertheless: str) -> None:
    """Check a folder by whose the database is; a start, and what mends, do so by the lease.

    Raises
    ------
    NodeError
        As `_check_folder`; or if the folder is of another installation.
    """
    _check_folder(folder, sessions, nevertheless)
    with sessions.reading() as session:
        lease = read_lease(session)
    if lease is not None and lease.held_by.installation != installation_of(folder):
        _refuse(folder, sessions, nevertheless, "which is of another installation.")


def _refuse(folder: Path, sessions: Sessions, nevertheless: str, why: str) -> None:
    """Refuse a folder, unless the database knows no files that could be missing."""
    with sessions.reading() as session:
        lease = read_lease(session)
        knows_files = has_kept_instances(session)
    if knows_files:
        known = f", {owner(lease)}" if lease else ""
        raise NodeError(
            f"[storage] folder: expected the one of this database, which knows files{known},"
            f" got {folder}, {why} `{nevertheless}` goes on without those files"
        )
