"""Make the TLS contexts of our ports from the settings, and find the files of certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.destinations import DicomDestination, FhirDestination, Hl7Destination, WebDestination
from config.network import TlsSettings
from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.network.tls import (
    Credentials,
    Renewal,
    certificate_doubts,
    certificate_end,
    server_context,
)
from dicom_node.resources import Resources


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


def report_tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Make the TLS context of the port of reports; None if it is to be plain.

    Raises
    ------
    NodeError
        If a file is missing or is not what it should be.
    """
    if not (settings.reports.port and settings.reports.tls):
        return None
    return server_context(credentials_of(settings.tls), verify_peers=settings.tls.verify_peers)


def certificate_renewal_of(settings: Settings, *contexts: ssl.SSLContext) -> Renewal:
    """Make what takes up renewed certificate files for our ports."""
    return Renewal(credentials=credentials_of(settings.tls), contexts=contexts)


def certificate_doubts_of(settings: Settings, now: datetime) -> list[str]:
    """List certificates in use that have expired, or will soon: ours, and our authorities'.

    A file that cannot be read is a fault that others find.
    """
    doubts: list[str] = []
    for setting, file in _certificates_in_use(settings).items():
        with suppress(NodeError):
            doubts += certificate_doubts(setting, file, now)
    return doubts


def certificate_ends_of(settings: Settings) -> Iterator[tuple[str, datetime]]:
    """Give the end of each certificate in use, by its section and key; faults others find."""
    for setting, file in _certificates_in_use(settings).items():
        with suppress(OSError, ValueError):
            yield setting, certificate_end(file)


def uses_tls(settings: Settings) -> bool:
    """Tell whether a port, a destination, worklist or audit trail uses our certificate."""
    return (
        loads_tls(settings)
        or (settings.worklist.tls and bool(settings.worklist.manager))
        or any(
            isinstance(one, DicomDestination) and one.tls and one.enabled
            for one in settings.destinations
        )
    )


def loads_tls(settings: Settings) -> bool:
    """Tell whether the node loads our certificate as it starts, and not as it connects."""
    return (
        settings.tls.receive
        or bool(settings.reports.port and settings.reports.tls)
        or (bool(settings.audit.syslog) and settings.audit.protocol == "tls")
        or any(
            isinstance(one, Hl7Destination) and one.tls and one.enabled
            for one in settings.destinations
        )
    )


def _certificates_in_use(settings: Settings) -> dict[str, Path]:
    """Files of certificates by section and key: ours, and those of authorities."""
    tls, engine = settings.tls, settings.engine
    urls = [one.url for one in settings.destinations if isinstance(one, WebDestination)]
    urls += [one.fhir for one in settings.destinations if isinstance(one, FhirDestination)]
    by_https = any(url.startswith("https:") for url in urls)
    files = {
        "[tls] certificate": tls.certificate if uses_tls(settings) else None,
        "[tls] authorities": tls.authorities if uses_tls(settings) or by_https else None,
        "[engine] certificate": engine.certificate,
        "[engine] authorities": engine.authorities,
        "[monitoring] certificate": settings.monitoring.certificate,
    }
    return {setting: file for setting, file in files.items() if file is not None}


@dataclass(slots=True, kw_only=True)
class CertificateWatch:
    """Tells the condition of the node which certificates have expired, or will soon.

    Attributes
    ----------
    settings
        As they are now: destinations come and go while the node runs.
    """

    settings: Settings
    resources: Resources

    def look(self) -> None:
        """Read the dates of all certificates in use."""
        health = self.resources.health
        doubts = certificate_doubts_of(self.settings, self.resources.clock())
        if doubts:
            health.fault("certificates", "; ".join(doubts))
        else:
            health.well("certificates")


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
