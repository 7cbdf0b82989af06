"""TLS credentials signed by an authority of the test."""

from __future__ import annotations

from pathlib import Path

import trustme

from dicom_node.network.tls import Credentials


def credentials(folder: Path, authority: trustme.CA, name: str) -> Credentials:
    """Write certificate, key and authorities of a peer on loopback, signed by an authority."""
    folder.mkdir(exist_ok=True)
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    found = Credentials(
        certificate=folder / f"{name}.pem",
        key=folder / f"{name}.key",
        authorities=folder / f"{name}-authorities.pem",
    )
    leaf.private_key_and_cert_chain_pem.write_to_path(found.certificate)
    leaf.private_key_pem.write_to_path(found.key)
    authority.cert_pem.write_to_path(found.authorities)
    return found
