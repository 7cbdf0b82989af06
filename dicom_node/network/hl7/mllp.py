"""Minimal Lower Layer Protocol (HL7 2.5.1, appendix C): frames of messages on a connection."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dicom_node.errors import NodeError
from dicom_node.network.tls_failure import tls_cause

START, END = b"\x0b", b"\x1c\r"
BEGIN = START + b"MSH"
CHUNK_BYTES = 1 << 14
MOST_ANSWER_BYTES = 1 << 18  #: of an acknowledgement
CONNECT_SECONDS = 10.0  #: longest wait for a connection


class NotReached(NodeError):
    """The peer cannot be reached."""


class NotAnswered(NodeError):
    """The peer was there, and gave no answer."""


def framed(message: bytes) -> bytes:
    """Put a message into its frame."""
    return START + message + END


class FrameReader:
    """Reads frames from a connection.

    Parameters
    ----------
    most_bytes
        Longest message.
    """

    def __init__(self, connection: socket.socket, most_bytes: int) -> None:
        self._connection, self._most_bytes = connection, most_bytes
        self._held = bytearray()

    @property
    def has_more(self) -> bool:
        """Whether bytes have come that are of no message read so far."""
        return bool(self._held)

    def read(self, seconds: float) -> bytes | None:
        """Read one message; None once the peer has ended the connection between two.

        What comes between frames is left out.

        Raises
        ------
        TimeoutError
            If its end does not come in time.
        ValueError
            If it is too long, or breaks off.
        OSError
            If the connection breaks.
        """
        deadline = time.monotonic() + seconds
        while (end := self._held.find(END)) < 0:
            if len(self._held) > self._most_bytes:
                raise ValueError(f"expected a message of at most {self._most_bytes} bytes")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("expected the end of a message")
            self._connection.settimeout(left)
            chunk = self._connection.recv(CHUNK_BYTES)
            if not chunk and START in self._held:
                raise ValueError("expected the end of a message, got that of the connection")
            if not chunk:
                return None
            self._held += chunk
        frame, self._held = bytes(self._held[:end]), self._held[end + len(END) :]
        begin = frame.rfind(BEGIN)  # not the last START: text may hold that byte
        return frame[begin + 1 :] if begin >= 0 else frame[frame.find(START) + 1 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpPeer:
    """A receiver of messages.

    Attributes
    ----------
    seconds
        Longest wait for an answer.
    tls
        None for a plain connection.
    """

    host: str
    port: int
    seconds: float
    tls: ssl.SSLContext | None = None


class MllpConnection:
    """A connection to a peer, on which a message is sent after the other was answered.

    Raises
    ------
    NotReached
        If there is none.
    """

    def __init__(self, peer: MllpPeer) -> None:
        self._peer = peer
        wait = min(peer.seconds, CONNECT_SECONDS)
        try:
            plain = socket.create_connection((peer.host.strip("[]"), peer.port), wait)
        except (OSError, UnicodeError) as fault:
            raise NotReached(f"{self._name} cannot be reached: {_why(fault)}") from fault
        try:
            self._connection = (
                plain
                if peer.tls is None
                else peer.tls.wrap_socket(plain, server_hostname=peer.host)
            )
        except OSError as fault:
            plain.close()
            raise NotReached(f"{self._name} cannot be reached: {_why(fault)}") from fault
        self._reader = FrameReader(self._connection, MOST_ANSWER_BYTES)

    @property
    def _name(self) -> str:
        return f"{self._peer.host}:{self._peer.port}"

    def exchange(self, message: bytes, is_late: Callable[[bytes], bool] = lambda _: False) -> bytes:
        """Send a message, and read the answer.

        Parameters
        ----------
        is_late
            Says whether an answer is to an earlier message: then the next one is read.

        Raises
        ------
        NotAnswered
            If there is none.
        """
        try:
            self._connection.settimeout(self._peer.seconds)
            self._connection.sendall(framed(message))
            deadline = time.monotonic() + self._peer.seconds
            while is_late(answer := self._reader.read(deadline - time.monotonic()) or b""):
                pass
        except TimeoutError as fault:
            raise NotAnswered(f"{self._name} answers too slowly") from fault
        except (OSError, ValueError) as fault:
            raise NotAnswered(f"{self._name} does not answer: {_why(fault)}") from fault
        if not answer:
            raise NotAnswered(f"{self._name} ended the connection instead of an answer")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._connection.close()


def _why(fault: Exception) -> str:
    return (
        tls_cause(fault) or getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
    )
