"""Make the TLS contexts of our ports from the settings, and find the files of certificates."""

from __future__ import annotations

import ssl

from config.network import TlsSettings
from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.network.tls import Credentials, Renewal, server_context


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
