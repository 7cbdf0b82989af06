"""TLS credentials signed by an authority of the test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import trustme

from dicom_node.network.tls import Credentials


def credentials(folder: Path, authority: trustme.CA, name: str) -> Credentials:
    """Write certificate, key and authorities of a peer on loopback, signed by an authority."""
    folder.mkdir(exist_ok=True)
    return _written(folder, authority, name, authority.issue_cert("localhost", "127.0.0.1"))


def _written(folder: Path, authority: trustme.CA, name: str, leaf: trustme.LeafCert) -> Credentials:
    found = Credentials(
        certificate=folder / f"{name}.pem",
        key=folder / f"{name}.key",
        authorities=folder / f"{name}-authorities.pem",
    )
    leaf.private_key_and_cert_chain_pem.write_to_path(found.certificate)
    leaf.private_key_pem.write_to_path(found.key)
    authority.cert_pem.write_to_path(found.authorities)
    return found


def expired_credentials(folder: Path, authority: trustme.CA, name: str) -> Credentials:
    """Write credentials as `credentials` does, with a certificate that expired in 2025."""
    folder.mkdir(exist_ok=True)
    began, ended = (datetime(2025, month, 1, tzinfo=UTC) for month in (1, 2))
    leaf = authority.issue_cert("localhost", "127.0.0.1", not_before=began, not_after=ended)
    return _written(folder, authority, name, leaf)
