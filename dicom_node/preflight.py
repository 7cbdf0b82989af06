"""Check the addresses, certificates, folder, database, engine and model of the INI file."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from config.destinations import (
    Destination,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    WebDestination,
)
from config.settings import Settings
from dicom_node.analysis.configuration import calls_by_scanner, model_folder
from dicom_node.clock_watch import utc_now
from dicom_node.errors import NodeError
from dicom_node.network.addresses.own_address import is_own
from dicom_node.network.pynetdicom_internals import version
from dicom_node.network.tls import server_context
from pipeline.errors import ModelError
from pipeline.model.manifest import read_manifest
from storage.database.engine import (
    is_absent,
    is_migrated,
    open_database,
    require_migrated,
    revision_of,
)
from storage.database.revisions import examine
from storage.database.sessions import Sessions
from storage.errors import ObjectsAway, StorageError, StorageUnwritable
from storage.files.disk import GIGABYTE, disk_free, no_room
from storage.files.folder import TEMPORARY, StorageFolder
from storage.files.installation import installation_of
from storage.files.objects_address import object_store_at

WEB, HL7, FHIR = (
    "DICOMweb",
    "HL7",
    "FHIR",
)  #: in place of the AE title of a destination that has none


def faults(settings: Settings) -> list[str]:
    """List everything that keeps the node from working, by section and key."""
    checks = (
        _address,
        _tls,
        _stow,
        _reports,
        _web,
        _folder,
        _objects,
        _log,
        _database,
        _engine,
        _model,
        _device,
        _notify,
    )
    return [fault for check in checks for fault in check(settings)]


def doubts(
    settings: Settings, *, pynetdicom: str = version.INSTALLED, now: datetime | None = None
) -> list[str]:
    """List what does not keep the node from working, but should be put right.

    Parameters
    ----------
    pynetdicom
        Its version.
    now
        Time at which certificates must be valid; the present by default.
    """
    from dicom_node.assembly.security import certificate_doubts_of

    now = now or utc_now()
    doubtful = [
        f"{name}: expected a file that we alone may read, got one that all may: {file}"
        for name, file in settings.secrets.items()
        if _exposed(file)
    ]
    if not any(destination.enabled for destination in settings.destinations):
        doubtful.append(
            "[destination NAME]: expected one that is enabled, got none: results stay here"
        )
    if not version.is_tested(pynetdicom):
        doubtful.append(
            f"pynetdicom {pynetdicom}: this node was tested with {', '.join(version.TESTED)};"
            " it receives and sends by the slower way"
        )
    return [
        *doubtful,
        *certificate_doubts_of(settings, now),
        *_destinations(settings),
        *_room(settings),
        *_second_model(settings),
        *_bounds(settings),
    ]


def _room(settings: Settings) -> Iterator[str]:
    """Compare the free space with the reserve: what is here is still analysed and delivered."""
    free = disk_free(_nearest(settings.storage.folder))
    reserve = int(settings.storage.reserve_gb * GIGABYTE)
    if free <= reserve:
        yield f"[storage] reserve_gb: {no_room(free, reserve)}"


def _nearest(folder: Path) -> Path:
    """Give a folder, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _destinations(settings: Settings) -> Iterator[str]:
    """Find destinations that are this node itself, or the same peer under two names."""
    names: dict[tuple[str, str, int], str] = {}
    for destination in (there for there in settings.destinations if there.enabled):
        peer = title, host, port = _peer(destination)
        receiver = settings.dicomweb if title == WEB else settings.node
        if title not in {HL7, FHIR} and port == receiver.port and is_own(host, receiver.bind):
            yield f"[destination {destination.name}]: it is this node, which takes no results"
        if peer in names:
            yield (
                f"[destination {destination.name}]: it is the same as [destination {names[peer]}],"
                " which gets every result twice"
            )
        names.setdefault(peer, destination.name)


def _peer(destination: Destination) -> tuple[str, str, int]:
    """Title, host and port of a destination; by DICOMweb it has no title."""
    if isinstance(destination, DicomDestination):
        return destination.ae_title, destination.host.lower(), destination.port
    if isinstance(destination, Hl7Destination):
        host, _, number = destination.hl7.rpartition(":")
        return HL7, host.lower(), int(number)
    fhir = getattr(destination, "fhir", "")
    url = urlsplit(fhir or getattr(destination, "url", ""))
    return (
        FHIR if fhir else WEB,
        url.hostname or "",
        url.port or (443 if url.scheme == "https" else 80),
    )


def _exposed(file: Path) -> bool:
    """Say whether every user of this machine may read a file; one without access is a fault."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _address(settings: Settings) -> Iterator[str]:
    """Bind to the address, on a free port: the port of the settings may be the running node's."""
    yield from _bound("node", settings.node.bind)


def _bound(section: str, bind: str) -> Iterator[str]:
    try:
        socket.create_server(
            (bind, 0), family=socket.AF_INET6 if ":" in bind else socket.AF_INET
        ).close()
    except OSError as fault:
        yield (
            f"[{section}] bind: expected an address of this machine, got {bind} ({fault.strerror})"
        )


def _tls(settings: Settings) -> Iterator[str]:
    """Load the certificates, if a receiver or a destination uses TLS."""
    from dicom_node.assembly.security import credentials_of, uses_tls

    if not uses_tls(settings):
        return
    try:
        server_context(credentials_of(settings.tls), verify_peers=settings.tls.verify_peers)
    except NodeError as fault:
        yield str(fault)


def _web(settings: Settings) -> Iterator[str]:
    """Read the secrets and certificate authorities of DICOMweb and FHIR destinations."""
    from dicom_node.assembly.delivery import fhir_sender_of, stow_sender_of

    for destination in settings.destinations:
        try:
            if isinstance(destination, WebDestination):
                stow_sender_of(settings, destination).check()
            if isinstance(destination, FhirDestination):
                fhir_sender_of(settings, destination).check()
        except NodeError as fault:
            yield f"[destination {destination.name}] {fault}"


def _stow(settings: Settings) -> Iterator[str]:
    """Bind to the address of the STOW-RS receiver, and read the token that its senders need."""
    from dicom_node.assembly.reception import stow_receivers_of

    if settings.dicomweb.port:
        yield from _bound("dicomweb", settings.dicomweb.bind)
    try:
        stow_receivers_of(settings)
    except NodeError as fault:
        yield str(fault)


def _reports(settings: Settings) -> Iterator[str]:
    """Bind to the address of the receiver of reports."""
    if settings.reports.port:
        yield from _bound("reports", settings.reports.bind)


def _folder(settings: Settings) -> Iterator[str]:
    """Write a file in the storage folder, or in the nearest folder above that exists."""
    folder = settings.storage.folder
    try:
        tempfile.TemporaryFile(dir=_nearest(folder)).close()
    except OSError as fault:
        yield (
            f"[storage] folder: expected a folder we may write to, got {folder} ({fault.strerror})"
        )
        return
    if (folder / TEMPORARY).is_dir():  # a node has run
        try:
            StorageFolder(folder, 0).require_one_file_system()
        except StorageUnwritable as unwritable:
            yield f"[storage] folder: {unwritable}"


def _objects(settings: Settings) -> Iterator[str]:
    """Put, read, list and remove an object of the bucket, if files are in one."""
    from dicom_node.assembly.resources import objects_of

    try:
        address = objects_of(settings)
        if address is not None:
            object_store_at(address).try_out()
    except ObjectsAway as away:
        yield f"[storage] objects: {str(away).removeprefix('[storage] objects: ')}"


def _log(settings: Settings) -> Iterator[str]:
    """See whether the log can be written; nothing is made, lest it belong to another user."""
    file = settings.log.file
    if file is None:
        return
    place = file if file.exists() else file.parent
    if file.is_dir() or not os.access(place, os.W_OK):
        yield f"[log] file: expected a file that can be written, got {file}"


def _database(settings: Settings) -> Iterator[str]:
    """Open the database, if it is not one that the first start makes in the storage folder.

    If it knows files, the storage folder must be the one that holds them, and the identity key.
    """
    from dicom_node.assembly.resources import check_installation, check_receiver
    from dicom_node.identity_key import identity_key_fault

    configured = settings.storage.database_url or settings.storage.database_url_file
    try:
        check_receiver(settings)
        database = open_database(settings.database_url)
        if configured or not is_absent(database):
            examine(database)
            is_new = bool(settings.storage.objects) and not installation_of(settings.storage.folder)
            if is_migrated(database) and not is_new:
                sessions = Sessions(database)
                check_installation(settings.storage.folder, sessions, "dicom-node run --new-folder")
                if fault := identity_key_fault(sessions, settings.storage.folder):
                    yield f"[storage] folder: {fault}"
            elif not settings.storage.migrate_at_start and revision_of(database) is not None:
                require_migrated(database)  # the start does the same
    except StorageError as fault:
        yield f"[storage] database_url: {fault}"
    except NodeError as fault:
        yield str(fault)


def _engine(settings: Settings) -> Iterator[str]:
    """Connect to the scheduler of a fleet."""
    from dicom_node.analysis.engine.connection import EMBEDDED, connect
    from dicom_node.assembly.engine import engine_address_of

    try:
        address = engine_address_of(settings)
        if address.scheduler != EMBEDDED:
            connect(address).close()
    except NodeError as fault:
        yield f"[engine] scheduler: {fault}"


def _model(settings: Settings) -> Iterator[str]:
    """Read the manifest of the model; load its networks as well where analyses run here."""
    try:
        read_manifest(model_folder(settings))
        if _computes_here(settings):
            from pipeline.model.loading import device_for, load

            load(model_folder(settings), device_for("cpu"))
    except ModelError as fault:
        yield f"[analysis] model: {fault}"
    except ImportError as fault:
        yield f"{fault.name} is not installed: pip install dicom-node installs it"


def _bounds(settings: Settings) -> Iterator[str]:
    """Ask whether bounds by scanner, where they are wanted, can decide anything."""
    wanted, folder = settings.analysis, model_folder(settings)
    try:
        if wanted.bounds_by_scanner and not calls_by_scanner(settings, folder):
            expected = "a model with bounds of scanner groups, and threshold = model"
            yield (
                f"[analysis] bounds_by_scanner: expected {expected}, got threshold ="
                f" {wanted.threshold} and {folder}: bounds are alike for all scanners"
            )
    except ModelError:  # a fault, which `faults` names
        return


def _second_model(settings: Settings) -> Iterator[str]:
    """Read the manifest of the second model, and its weights where analyses run here.

    The node does all its work without a second model. No network is made of the weights: this is
    asked in the node, which has no torch.
    """
    folder = settings.shadow.model
    if folder is None:
        return
    try:
        manifest, digest = read_manifest(folder)
        if digest == read_manifest(model_folder(settings))[1]:
            yield f"[shadow] model: expected another model than the one in use, got it: {folder}"
        if _computes_here(settings):
            for network in (manifest.networks.lungs, manifest.networks.classifier):
                weights = (folder / network.file).read_bytes()
                if hashlib.sha256(weights).hexdigest() != network.sha256:
                    yield f"[shadow] model: {network.file} is not the file that its manifest names"
    except OSError as fault:
        yield f"[shadow] model: expected a file that can be read, got {fault}"
    except ModelError as fault:
        yield f"[shadow] model: {fault}"


def _device(settings: Settings) -> Iterator[str]:
    """Look for the device, where analyses run here."""
    if not _computes_here(settings):
        return
    try:
        from pipeline.model.loading import device_for

        device_for(settings.analysis.device)
    except ModelError as fault:
        yield f"[analysis] device: {fault}"
    except ImportError:
        return  # said of the model


def _notify(settings: Settings) -> Iterator[str]:
    """Read who is told of what, and look whether Apprise knows their services."""
    from dicom_node.notify.apprise_sender import check_url
    from dicom_node.notify.recipients import read_recipients

    if settings.notify.recipients_file is None:
        return
    try:
        recipients = read_recipients(settings.notify.recipients_file)
    except NodeError as fault:
        yield str(fault)
        return
    for recipient in recipients:
        try:
            check_url(recipient.url)
        except NodeError as fault:
            yield f"[notify] recipients_file: line {recipient.line}: {fault}"


def _computes_here(settings: Settings) -> bool:
    return settings.engine.scheduler == "embedded"
