"""Make and renew the certificates of an engine: an authority of its own, and one for each host.

Whoever holds one of them can run code on every machine of the engine: the authority signs nothing
else, and its key stays where this is run.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from config.value_types import is_loopback
from dicom_node.errors import NodeError, UsageError
from dicom_node.network.tls import RENEWAL_TIME
from storage.files.disk import filled, naming

AUTHORITY_DAYS = 3650  #: that the authority is valid: its renewal means new files everywhere
HOST_DAYS = 365  #: that a host's certificate is valid, if nothing is said
CLOCKS_APART = timedelta(hours=1)  #: by which the clock of a host may be behind
NAME = "dicom-node engine"  #: of the authority

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One certificate of the folder.

    Attributes
    ----------
    name
        Of the host, or ``authority``.
    file
        Its certificate; the key lies beside it.
    until
        Its end.
    is_new
        Whether it was made, or renewed, now.
    """

    name: str
    file: Path
    until: datetime
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    certificate: x509.Certificate
    key: Key


def provide(
    folder: Path, hosts: Sequence[str], now: datetime, *, days: int = HOST_DAYS
) -> list[Made]:
    """Have an authority and a certificate for each host in a folder: what is missing is made.

    Those that end within `RENEWAL_TIME` are renewed, also of hosts that are not named. Each file
    is replaced whole, with its key; keys can be read by us alone. If one cannot be written, none is
    new.

    Parameters
    ----------
    hosts
        Names or addresses by which the others reach each machine.
    days
        For which a host's certificate is valid.

    Raises
    ------
    UsageError
        If a host's name cannot be one.
    NodeError
        If the folder holds something else.
    OSError
        If a file cannot be written.
    """
    for host in hosts:
        _check_name(host)
    with filled(folder, mode=0o700):
        return list(_provided(folder, hosts, now, timedelta(days=days)))


def _check_name(host: str) -> None:
    labels = host.split(".")
    is_name = all(
        label.isascii() and label.replace("-", "").isalnum() and not label.startswith("-")
        for label in labels
    )
    if not (is_name or _address(host)) or host in {"authority", ""}:
        raise UsageError(f"expected the name or address of a host, got {host!r}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _provided(
    folder: Path, hosts: Sequence[str], now: datetime, valid: timedelta
) -> Iterator[Made]:
    file = folder / "authority.pem"
    is_new = not file.exists()
    if is_new:
        if any(folder.glob("*.pem")):
            raise NodeError(f"expected {file}, or an empty folder")
        _make_authority(folder, now)
    authority = _read_authority(file)
    until = authority.certificate.not_valid_after_utc
    if until <= now + RENEWAL_TIME:
        raise NodeError(f"{file} ends on {until:%Y-%m-%d}: begin a new folder, for all hosts")
    yield Made(name="authority", file=file, until=until, is_new=is_new)
    known = {path.stem: path for path in sorted(folder.glob("*.pem")) if path != file}
    for host in dict.fromkeys((*known, *map(_stem, hosts))):
        path = folder / f"{host}.pem"
        name = next((one for one in hosts if _stem(one) == host), "")
        old = _read(path) if path.exists() else None
        is_whole = old is not None and path.with_suffix(".key").exists()
        if old is None or not is_whole or old.not_valid_after_utc <= now + RENEWAL_TIME:
            names = _names_of(old) if old is not None else _names(name)
            _make_host(path, names, authority, now, min(until, now + valid))
            yield Made(name=host, file=path, until=_read(path).not_valid_after_utc, is_new=True)
        else:
            yield Made(name=host, file=path, until=old.not_valid_after_utc, is_new=False)


def _stem(host: str) -> str:
    return host.replace(":", "-").lower()


def _names(host: str) -> list[x509.GeneralName]:
    """Give the names that a certificate is for: the host's, and loopback for its own processes."""
    local: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    address = _address(host)
    if host == "localhost" or (address is not None and is_loopback(host)):
        return local
    return [x509.IPAddress(address) if address else x509.DNSName(host.lower()), *local]


def _names_of(certificate: x509.Certificate) -> list[x509.GeneralName]:
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _make_authority(folder: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        _begun(name, name, key, now, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(folder / "authority.pem", certificate, key)


def _make_host(
    file: Path,
    names: list[x509.GeneralName],
    authority: _Authority,
    now: datetime,
    until: datetime,
) -> None:
    """Make a pair that serves on both sides: a worker listens, and it calls."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file.stem[:64])])
    issuer = authority.key.public_key()
    certificate = (
        _begun(subject, authority.certificate.subject, key, now, until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write_pair(file, certificate, key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(until)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_pair(file: Path, certificate: x509.Certificate, key: Key) -> None:
    """Write a certificate, and its key beside it: both are replaced when both are written."""
    contents = {
        file.with_suffix(".key"): (_pem_of(key), 0o600),
        file: (certificate.public_bytes(serialization.Encoding.PEM), 0o644),
    }
    new = {path: path.with_name(f"{path.name}.new") for path in contents}
    try:
        for path, (content, mode) in contents.items():
            with naming(path, new[path]):
                _write(new[path], content, mode)
        for path, written in new.items():
            with naming(path, written):
                written.replace(path)
    finally:
        for written in new.values():
            written.unlink(missing_ok=True)


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a new file, in place of one that a crash has left; it is on the disk then."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _read(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as fault:
        raise NodeError(f"expected a certificate (PEM), got {file}") from fault


def _read_authority(file: Path) -> _Authority:
    """Read certificate and key of the authority, which must belong together, and be ours alone.

    Raises
    ------
    NodeError
        If they do not, or are not.
    """
    certificate, secret = _read(file), file.with_suffix(".key")
    try:
        mode = stat.S_IMODE(secret.stat().st_mode)
        key = serialization.load_pem_private_key(secret.read_bytes(), None)
    except FileNotFoundError as fault:
        raise NodeError(f"expected the key of the authority (PEM), got no {secret}") from fault
    except (ValueError, TypeError) as fault:
        raise NodeError(f"expected the key of the authority (PEM), got {secret}") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NodeError(f"expected a key of an elliptic curve, got {secret}")
    if key.public_key() != certificate.public_key():
        raise NodeError(f"expected the key of {file}, got another's in {secret}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NodeError(
            f"{secret}: expected a file for its owner alone (mode 600), got mode {mode:o}: who has"
            " read it can run code on every machine of the engine; begin a new folder if somebody"
            " may have, else chmod 600"
        )
    return _Authority(certificate=certificate, key=key)
