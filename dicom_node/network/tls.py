"""DICOM over TLS: the profile of BCP 195 (PS3.15 B.12), with certificates of both sides.

TLS 1.2 or newer with forward secrecy and authenticated encryption. Certificates and keys are
files; renewed files are loaded while the node runs.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.network.tls_failure import ReportingContext

MOST_NAMED = 3  #: certificates of one file that are named
RENEWAL_TIME = timedelta(days=30)  #: before its end a certificate should be renewed
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  #: for TLS 1.2 (RFC 9325 4.2); 1.3 has no others


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Our own certificate, and the authorities that we trust.

    Attributes
    ----------
    certificate, key
        PEM files: our chain and its key.
    authorities
        PEM file: certificates of those who sign the certificates of our peers.
    """

    certificate: Path
    key: Path
    authorities: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the credentials."""
        return self.certificate, self.key, self.authorities


def server_context(credentials: Credentials, *, verify_peers: bool) -> ReportingContext:
    """Make the context of a listening socket.

    Parameters
    ----------
    verify_peers
        Whether callers must show a certificate that our authorities signed.

    Raises
    ------
    NodeError
        If a file is missing or is not what it should be.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.verify_mode = ssl.CERT_REQUIRED if verify_peers else ssl.CERT_NONE
    return context


def certificate_doubts(setting: str, file: Path, now: datetime) -> Iterator[str]:
    """Name certificates of a file that are not valid now, or not for long.

    Parameters
    ----------
    setting
        Its section and key, such as ``[tls] certificate``.

    Raises
    ------
    NodeError
        If the file holds no certificate.
    """
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as fault:
        raise NodeError(f"{setting}: expected PEM, got {file}") from fault
    doubts = [doubt for one in certificates if (doubt := _validity_doubt(one, now))]
    is_chain = len(certificates) > 1
    for name, words in doubts[:MOST_NAMED]:
        yield f"{setting}: {file} {f'({name}) ' if is_chain else ''}{words}"
    if len(doubts) > MOST_NAMED:
        yield f"{setting}: {file} holds {len(doubts) - MOST_NAMED} further ones of that kind"


def certificate_end(file: Path) -> datetime:
    """Give the time at which the first certificate of a file that expires does so.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or holds none.
    """
    return min(
        one.not_valid_after_utc for one in x509.load_pem_x509_certificates(file.read_bytes())
    )


def certified_name(file: Path) -> str:
    """Give the first name that a certificate names, of a host or an address.

    Raises
    ------
    NodeError
        If it cannot be read, or names none.
    """
    try:
        certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return str(next(iter(names)).value)
    except (OSError, ValueError, StopIteration, x509.ExtensionNotFound) as fault:
        raise NodeError(f"{file}: expected a certificate that names a host, got none") from fault


def _validity_doubt(certificate: x509.Certificate, now: datetime) -> tuple[str, str] | None:
    """Subject of a certificate, and what is wrong with its dates; None if nothing is."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    words = ""
    if ends <= now:
        words = f"has expired, on {ends:%Y-%m-%d}: renew it, peers refuse it or are refused"
    elif begins > now:
        words = f"is valid from {begins:%Y-%m-%d} only"
    elif ends <= now + RENEWAL_TIME:
        words = f"expires on {ends:%Y-%m-%d}: renew it"
    return (certificate.subject.rfc4514_string(), words) if words else None


def client_context(credentials: Credentials) -> ReportingContext:
    """Make the context of an outgoing connection: the peer's certificate must name its host.

    Raises
    ------
    NodeError
        As `server_context`.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials)


def _context(protocol: int, credentials: Credentials) -> ReportingContext:
    context = ReportingContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    load(context, credentials)
    return context


def load(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Put certificate, key and authorities into a context; new connections use them.

    Raises
    ------
    NodeError
        If a file is missing or is not what it should be; it is named.
    """
    try:
        context.load_cert_chain(credentials.certificate, credentials.key)
    except (OSError, ssl.SSLError) as fault:
        raise NodeError(
            f"[tls] certificate, key: expected PEM files that belong together, got "
            f"{credentials.certificate} and {credentials.key} ({_why(fault)})"
        ) from fault
    try:
        context.load_verify_locations(credentials.authorities)
    except (OSError, ssl.SSLError) as fault:
        raise NodeError(
            f"[tls] authorities: expected a PEM file of certificates, got "
            f"{credentials.authorities} ({_why(fault)})"
        ) from fault


def _why(fault: OSError) -> str:
    return str(getattr(fault, "reason", None) or fault.strerror or type(fault).__name__)


@dataclass(slots=True, kw_only=True)
class Renewal:
    """Loads certificate files again when they were renewed.

    A file that cannot be used is logged, and new connections use the previous one.
    """

    credentials: Credentials
    contexts: tuple[ssl.SSLContext, ...]
    _loaded: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self._loaded = self._stamps()

    def poll(self) -> bool:
        """Load renewed files; say whether there were any."""
        stamps = self._stamps()
        if stamps == self._loaded:
            return False
        try:
            _context(ssl.PROTOCOL_TLS_SERVER, self.credentials)  # half-written files stop here
            for context in self.contexts:
                load(context, self.credentials)
        except NodeError as fault:
            log.error("certificates_unusable", reason=str(fault))
            return False
        self._loaded = stamps
        log.info("certificates_renewed")
        return True

    def _stamps(self) -> tuple[int, ...]:
        """Modification times of the files, ns."""
        return tuple(
            path.stat().st_mtime_ns if path.exists() else 0 for path in self.credentials.files
        )
