"""Say why a TLS connection failed, in a sentence for the person who has to put it right."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

NOT_TLS = "it does not speak TLS"
OLD_TLS = "it speaks no TLS of version 1.2 or later"
NO_CIPHER = "there is no cipher that both sides take"
NO_CERTIFICATE = "it showed no certificate"
NOT_OURS = "its certificate is of no authority that we trust"
UNKNOWN = "unknown"  #: address of a peer that had hung up before it could be asked for
HUNG_UP = "it hung up during the TLS handshake: it may speak no TLS, or refuse our certificate"
REASONS = {
    "WRONG_VERSION_NUMBER": NOT_TLS,
    "HTTP_REQUEST": f"{NOT_TLS}: it speaks HTTP",
    "HTTPS_PROXY_REQUEST": f"{NOT_TLS}: it speaks HTTP",
    "UNKNOWN_PROTOCOL": NOT_TLS,
    "BAD_RECORD_TYPE": NOT_TLS,
    "RECORD_LAYER_FAILURE": NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": NOT_TLS,
    "UNSUPPORTED_PROTOCOL": OLD_TLS,
    "VERSION_TOO_LOW": OLD_TLS,
    "NO_PROTOCOLS_AVAILABLE": OLD_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": "it takes no version of TLS that we take",
    "NO_SHARED_CIPHER": NO_CIPHER,
    "NO_CIPHERS_AVAILABLE": NO_CIPHER,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": f"it broke the handshake off: {NO_CIPHER}, or no certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it says that our certificate was revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it refuses our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it refuses our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "it refuses our certificate",
    "TLSV1_ALERT_DECODE_ERROR": "it could not read our side of the handshake",
    "UNEXPECTED_EOF_WHILE_READING": HUNG_UP,
}
"""What reasons of OpenSSL mean, said of the peer (alerts: RFC 8446 6.2)."""

CERTIFICATE_REASONS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: f"{NOT_OURS}: it is signed by itself",
    19: NOT_OURS,
    20: NOT_OURS,
    21: NOT_OURS,
    23: "its certificate was revoked",
    62: "its certificate names another host",
    64: "its certificate names another address",
}
"""What verification codes of OpenSSL mean (`X509_V_ERR_...`)."""


ON_TLS_FAILURE: ContextVar[Callable[[str], object] | None] = ContextVar(
    "ON_TLS_FAILURE", default=None
)
"""Hears why a handshake failed that an event loop does for a connection."""


def tls_failure(fault: OSError) -> str:
    """Say in a sentence, of the peer, why a TLS connection failed."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        known = CERTIFICATE_REASONS.get(fault.verify_code)
        return known or f"its certificate is not valid ({fault.verify_message})"
    if isinstance(fault, ssl.SSLError):
        if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return HUNG_UP
        reason = str(fault.reason or type(fault).__name__)
        words = reason.replace("_", " ").lower()
        return REASONS.get(reason, f"the TLS handshake failed ({words})")
    if isinstance(fault, TimeoutError):
        return "it did not answer during the TLS handshake"
    return HUNG_UP


def tls_cause(fault: BaseException) -> str:
    """Find the failure of TLS behind a fault of a library, and say it; empty if there is none."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return tls_failure(cause)
        cause = cause.__cause__ or cause.__context__
    return ""


class ReportingSocket(ssl.SSLSocket):
    """A TLS socket that tells its context why the handshake failed, or the peer broke it off.

    In TLS 1.3 a peer's refusal of our certificate comes only with what we read first.
    """

    def do_handshake(self, block: bool = False) -> None:
        """As in `ssl`; the peer's address is asked for before, as a broken connection has none."""
        address = self._address()
        try:
            self._introduce()
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as fault:
            self._report(address, fault)
            raise

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002, ANN401  # as in `ssl`
        """As in `ssl`."""
        try:
            return super().read(len, buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as fault:
            if not self.server_side:
                self._report(self._address(), fault)
            raise

    def _introduce(self) -> None:
        preamble = getattr(self.context, "preamble", b"")
        if preamble and not self.server_side:
            socket.socket.sendall(self, preamble)  # as it is: that of TLS would encrypt it

    def _address(self) -> str:
        try:
            return str(self.getpeername()[0])
        except OSError:
            return UNKNOWN

    def _report(self, address: str, fault: OSError) -> None:
        if isinstance(self.context, ReportingContext):
            self.context.report(address, tls_failure(fault))


class ReportingObject(ssl.SSLObject):
    """TLS without a socket, as event loops use it, that reports why the handshake failed."""

    def do_handshake(self) -> None:
        """As in `ssl`; a failure is told to `ON_TLS_FAILURE` of the present context."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as fault:
            report = ON_TLS_FAILURE.get()
            if report is not None:
                report(tls_failure(fault))
            raise


class ReportingContext(ssl.SSLContext):
    """A TLS context that calls `report` with the peer's address, and why TLS failed.

    Attributes
    ----------
    preamble
        Sent by who connects, before the handshake.
    """

    sslsocket_class = ReportingSocket
    sslobject_class = ReportingObject
    report: Callable[[str, str], object] = staticmethod(lambda *_: None)
    preamble = b""
