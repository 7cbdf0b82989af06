"""The parts of a node, each made from the settings; `dicom_node.node` puts them together."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from config.destinations import Destination, DicomDestination, WebDestination
from config.network import Tls
from config.settings import Settings
from dicom_node.analysis.configuration import analyser_of
from dicom_node.analysis.engine import Engine
from dicom_node.analysis.prior_fetch import Historian
from dicom_node.analysis.request_builder import Briefing
from dicom_node.audit.syslog import NO_TRAIL, Server, SyslogTrail, Trail
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.commitment_query import Verifier
from dicom_node.delivery.commitment_scu import Notary
from dicom_node.delivery.sender import ByDicom, Carrier
from dicom_node.delivery.stow_client import ByWeb, secret
from dicom_node.delivery.worker import Confirmer, Courier
from dicom_node.errors import NodeError
from dicom_node.maintenance.retention import Purging
from dicom_node.network.association import Peer
from dicom_node.network.tls import Credentials, client_context
from dicom_node.reception.access import Callers
from dicom_node.reception.commitment_scp import Witness
from dicom_node.reception.index_writer import Index
from dicom_node.reception.store_scp import Receiver
from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.server import WebReceiver
from dicom_node.resources import Store
from storage.database.engine import is_migrated, migrate, open_database
from storage.files.folder import Inbox
from storage.files.installation import found_station
from storage.maintenance.retention import Rules

MEGABYTE, GIGABYTE = 10**6, 10**9


def open_store(settings: Settings) -> Store:
    """Open the storage folder and the database, and bring its tables up to date.

    The first time, the identity of the installation is drawn.

    Raises
    ------
    NodeError
        If the database cannot be opened.
    """
    settings.storage.folder.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    try:
        migrate(database)
    except OperationalError as fault:
        raise NodeError(
            "[storage] database_url: expected a database that can be opened, got"
            f" {database.url.drivername} ({type(fault).__name__}): see dicom-node check"
        ) from fault
    inbox = Inbox(settings.storage.folder, int(settings.storage.reserve_gb * GIGABYTE))
    found_station(inbox.folder)
    return Store(
        sessions=sessionmaker(database, class_=Session), inbox=inbox, audit=trail_of(settings)
    )


def trail_of(settings: Settings) -> Trail:
    """Make what takes events to an auditor.

    Raises
    ------
    NodeError
        If that is to be by TLS, and there are no files for it.
    """
    host, _, port = settings.audit.syslog.rpartition(":")
    protocol = settings.audit.protocol
    if not host:
        return NO_TRAIL
    tls = client_context(credentials_of(settings.tls)) if protocol == "tls" else None
    server = Server(host=host, port=int(port), protocol=protocol, tls=tls)
    return SyslogTrail(server, source=settings.node.ae_title)


def engine_of(settings: Settings) -> Engine:
    """Start the engine that the settings describe.

    Raises
    ------
    NodeError
        If there is none at the address configured.
    """
    try:
        return Engine(
            scheduler=settings.engine.scheduler,
            threads=settings.analysis.threads,
            memory_limit_gb=settings.engine.memory_limit_gb,
        )
    except OSError as fault:
        raise NodeError(f"no engine at {settings.engine.scheduler}: {fault}") from fault


def receiver_of(settings: Settings) -> Receiver:
    """Make the receiver that the settings describe."""
    node = settings.node
    return Receiver(
        ae_title=node.ae_title,
        callers=Callers.of(node.calling_aes),
        require_called_ae=node.require_called_ae,
        maximum_associations=node.maximum_associations,
        maximum_pdu_size=node.maximum_pdu_size,
        network_timeout_seconds=node.network_timeout_seconds,
    )


def web_receiver_of(settings: Settings) -> WebReceiver | None:
    """Make the receiver for DICOMweb that the settings describe; None if there is to be none.

    Raises
    ------
    NodeError
        If the file with the token cannot be read.
    """
    web = settings.dicomweb
    if not web.port:
        return None
    return WebReceiver(
        token=secret("[dicomweb] token_file", web.token_file) if web.token_file else "",
        limits=Limits(
            request_bytes=web.maximum_request_mb * MEGABYTE,
            silent_seconds=settings.node.network_timeout_seconds,
        ),
        maximum_requests=web.maximum_requests,
    )


def witness_of(settings: Settings, index: Index, store: Store) -> Witness:
    """Make what answers senders' requests for storage commitment; by TLS if our port speaks it."""
    tls = credentials_of(settings.tls) if settings.tls.receive else None
    peers = {}
    for entry in settings.node.commitment_peers:
        ae_title, _, where = entry.rpartition("@")
        host, _, port = where.rpartition(":")
        peers[ae_title] = Peer(ae_title=ae_title, host=host, port=int(port), tls=tls)
    return Witness(index, store.inbox, ae_title=settings.node.ae_title, peers=peers)


def credentials_of(tls: Tls) -> Credentials:
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


def carrier_of(settings: Settings, destination: Destination) -> Carrier:
    """Make what results are sent by to one destination."""
    if isinstance(destination, WebDestination):
        return web_of(settings, destination)
    return ByDicom(peer=peer_of(settings, destination), calling_ae=settings.node.ae_title)


def web_of(settings: Settings, destination: WebDestination) -> ByWeb:
    """Make what sends by DICOMweb."""
    return ByWeb(
        url=destination.url,
        timeout_seconds=destination.timeout_seconds,
        user=destination.user,
        password_file=destination.password_file,
        token_file=destination.token_file,
        authorities=settings.tls.authorities,
    )


def courier_of(settings: Settings, destination: Destination, store: Store) -> Courier:
    """Make the courier of one destination."""
    delivery = settings.delivery
    return Courier(
        destination.name,
        carrier_of(settings, destination),
        backoff=Backoff(
            first_seconds=delivery.retry_first_seconds,
            factor=delivery.retry_factor,
            max_seconds=delivery.retry_max_seconds,
            give_up_after=timedelta(hours=delivery.give_up_after_hours),
        ),
        store=store,
        notary=confirmer_of(settings, destination, store),
    )


def confirmer_of(settings: Settings, destination: Destination, store: Store) -> Confirmer | None:
    """Make what asks one destination if it keeps what it accepted; None if it is not asked."""
    if not isinstance(destination, DicomDestination) or destination.verify == "no":
        return None
    kind = Notary if destination.verify == "commitment" else Verifier
    return kind(
        destination.name,
        peer_of(settings, destination),
        calling_ae=settings.node.ae_title,
        again=timedelta(hours=settings.delivery.verify_again_hours),
        store=store,
    )


def historian_of(settings: Settings, briefing: Briefing) -> Historian | None:
    """Make what searches archives for earlier studies; None if none is to be asked."""
    asked = [
        each
        for each in settings.destinations
        if isinstance(each, DicomDestination) and each.enabled and each.earlier_studies
    ]
    if not (asked and settings.results.priors):
        return None
    return Historian(
        [peer_of(settings, each) for each in asked],
        briefing,
        ae_title=settings.node.ae_title,
        min_slices=settings.selection.min_slices,
    )


def briefing_of(settings: Settings, store: Store) -> Briefing:
    """Make the briefing that the settings describe."""
    return Briefing(
        store,
        analyser_of(settings),
        compare=settings.results.priors,
        destinations=[each.name for each in settings.destinations if each.enabled],
    )


def purging_of(settings: Settings, store: Store) -> Purging:
    """Make the retention that the settings describe."""
    retention = settings.retention
    return Purging(
        store=store,
        rules=Rules(
            keep=timedelta(days=retention.keep_days) if retention.keep_days else None,
            committing=frozenset(
                each.name
                for each in settings.destinations
                if isinstance(each, DicomDestination) and each.verify != "no"
            ),
        ),
        free_bytes=int(retention.disk_pressure_gb * GIGABYTE),
        keep_quarantine=(
            timedelta(days=retention.quarantine_days) if retention.quarantine_days else None
        ),
    )


def store_of(settings: Settings) -> Store:
    """Open what a node has made, whether it runs or not.

    Raises
    ------
    NodeError
        If there is no database, or an older one.
    """
    database = open_database(settings.database_url)
    if not is_migrated(database):
        raise NodeError("there is no database of this version yet: start the node first")
    return Store(
        sessions=sessionmaker(database, class_=Session), inbox=Inbox(settings.storage.folder, 0)
    )
