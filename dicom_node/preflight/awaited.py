"""Needs of analyses, deliveries, notices and metrics, without which the node starts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from config.destinations import FhirDestination, WebDestination
from config.settings import Settings
from dicom_node.analysis.configuration import model_folder
from dicom_node.errors import NodeError
from dicom_node.network.tls import server_context
from dicom_node.preflight.faults import bound
from pipeline.errors import ModelError
from pipeline.model.manifest import read_manifest


def awaited(settings: Settings) -> list[str]:
    """List what is away or cannot be used, though the node starts and receives, by section and key.

    It takes seconds, and loads the networks: a start does not ask it.
    """
    checks = (_tls, _web, _scheduler, _networks, _device, _notify, _monitoring)
    return [sentence for check in checks for sentence in check(settings)]


def _tls(settings: Settings) -> Iterator[str]:
    """Load the certificates for connections that are made later, if they are configured."""
    from dicom_node.assembly.security import credentials_of, loads_tls, uses_tls

    if loads_tls(settings) or not uses_tls(settings):
        return
    try:
        credentials = credentials_of(settings.tls)
    except NodeError:
        return  # that is a fault
    try:
        server_context(credentials, verify_peers=settings.tls.verify_peers)
    except NodeError as fault:
        yield str(fault)


def _web(settings: Settings) -> Iterator[str]:
    """Read the secrets and certificate authorities of DICOMweb and FHIR destinations."""
    from dicom_node.assembly.delivery import fhir_sender_of, stow_sender_of

    for destination in (one for one in settings.destinations if one.enabled):
        try:
            if isinstance(destination, WebDestination):
                stow_sender_of(settings, destination).check()
            if isinstance(destination, FhirDestination):
                fhir_sender_of(settings, destination).check()
        except NodeError as fault:
            yield f"[destination {destination.name}] {fault}"


def _scheduler(settings: Settings) -> Iterator[str]:
    """Connect to the scheduler of a fleet."""
    from dicom_node.analysis.engine.connection import EMBEDDED, connect
    from dicom_node.assembly.engine import engine_address_of

    try:
        address = engine_address_of(settings)
    except NodeError:
        return  # that is a fault
    try:
        if address.scheduler != EMBEDDED:
            connect(address).close()
    except NodeError as fault:
        said = str(fault)
        yield said if said.startswith("[engine]") else f"[engine] scheduler: {said}"


def _device(settings: Settings) -> Iterator[str]:
    """Look for the device, where analyses run here."""
    if not computes_here(settings):
        return
    try:
        from pipeline.model.loading import device_for

        device_for(settings.analysis.device)
    except ModelError as fault:
        yield f"[analysis] device: {fault}"
    except ImportError:
        return  # said of the networks


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


def _monitoring(settings: Settings) -> Iterator[str]:
    """Bind to the address of metrics and health, and load their certificate."""
    wanted = settings.monitoring
    if not wanted.port:
        return
    yield from bound("monitoring", wanted.bind)
    if wanted.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(wanted.certificate, wanted.key)
    except OSError as fault:
        yield (
            "[monitoring] certificate, key: expected PEM files that belong together, got"
            f" {wanted.certificate} and {wanted.key} ({fault.strerror})"
        )


def _networks(settings: Settings) -> Iterator[str]:
    """Load the networks of the model, where analyses run here."""
    if not computes_here(settings):
        return
    try:
        read_manifest(model_folder(settings))
    except ModelError:
        return  # that is a fault
    try:
        from pipeline.model.loading import device_for, load

        load(model_folder(settings), device_for("cpu"))
    except ModelError as fault:
        yield f"[analysis] model: {fault}"
    except ImportError as fault:
        yield f"{fault.name} is not installed: pip install dicom-node installs it"


def computes_here(settings: Settings) -> bool:
    """Tell whether analyses run on this machine."""
    return settings.engine.scheduler == "embedded"
