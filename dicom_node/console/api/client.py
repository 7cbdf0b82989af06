"""Ask the API of a console elsewhere, with a token; no right on its machine is needed."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from config.value_types import is_loopback
from dicom_node.console.access.tokens import TOKEN
from dicom_node.console.api.answers import Waits
from dicom_node.console.api.openapi import BASE
from dicom_node.errors import NodeError, UsageError
from dicom_node.node_status import NodeStatus

Answer = TypeVar("Answer")
SECONDS = 30.0  #: longest wait for an answer


class ConsoleClient:
    """Asks one console.

    Parameters
    ----------
    url
        Its address, https unless it is on this machine.
    token_file
        Holds the token, one line.
    authorities
        PEM file of who signs its certificate; None for those that this machine trusts.

    Raises
    ------
    NodeError
        If the address, or a file, is not what it should be.
    """

    def __init__(self, url: str, token_file: Path, authorities: Path | None = None) -> None:
        self._url = _checked(url)
        self._token = _token_in(token_file)
        self._tls = _tls(authorities)

    def status(self, limit: int) -> NodeStatus:
        """Ask for what `dicom-node status` shows.

        Raises
        ------
        NodeError
            If the console gives no answer, or refuses; the message says what to do.
        """
        return self._asked("status", NodeStatus, limit=limit)

    def waits(self) -> Waits:
        """Ask for what waiting for the end of series has cost.

        Raises
        ------
        NodeError
            As :meth:`status`.
        """
        return self._asked("waits", Waits)

    def _asked(self, name: str, wanted: type[Answer], **query: int) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        try:
            # proxies of the environment would see the token
            with httpx.Client(verify=self._tls, timeout=SECONDS, trust_env=False) as client:
                answer = client.get(f"{self._url}{BASE}/{name}", headers=headers, params=query)
        except httpx.TimeoutException as fault:
            raise NodeError(f"{self._url}: no answer within {SECONDS:.0f} s") from fault
        except httpx.HTTPError as fault:
            raise NodeError(f"{self._url}: the console cannot be reached: {fault}") from fault
        if answer.status_code != httpx.codes.OK:
            raise NodeError(f"{self._url}: {_why(answer)}")
        try:
            return TypeAdapter(wanted).validate_json(answer.content)
        except ValidationError as fault:
            raise NodeError(
                f"{self._url}: the answer is not one that this version knows"
                f" ({_first(fault)}): the console is of another version, or no console"
            ) from None


def _checked(url: str) -> str:
    expected = "expected an address such as https://host:8443, without user or query"
    try:
        parts = urlsplit(url)
    except ValueError as fault:  # half an address of IPv6
        raise UsageError(expected) from fault
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise UsageError(expected)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(
            f"expected https, got http to {parts.hostname}: the token could be read on the way"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _token_in(file: Path) -> str:
    """Read the token; errors do not quote the file."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise NodeError(
            f"expected a file with a token, got {file} ({type(fault).__name__})"
        ) from None
    if not TOKEN.fullmatch(text):
        raise NodeError(f"expected one line in {file}, what `dicom-node token add` has printed")
    return text


def _tls(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as fault:
        raise NodeError(
            f"expected a PEM file of certificates, got {authorities} ({type(fault).__name__})"
        ) from fault


def _why(answer: httpx.Response) -> str:
    """Say why a console did not answer."""
    detail = _detail(answer)
    match answer.status_code:
        case httpx.codes.UNAUTHORIZED:
            return "the token is not known there, was revoked, or has expired"
        case httpx.codes.NOT_FOUND if not detail:
            return (
                "there is no API: the console is of an older version, or this is not the address"
                " of one"
            )
        case httpx.codes.MISDIRECTED_REQUEST:
            return "the console does not go by this name: see [console] hosts there"
        case status if detail:
            return f"refused ({status}): {detail}"
        case status:
            return f"answered {status}, as no console does that has an API"


def _detail(answer: httpx.Response) -> str:
    """Read why, from a problem detail; empty if the answer is none."""
    try:
        values: Any = answer.json()
        text = str(values["detail"])[:300]
    except (ValueError, TypeError, KeyError):
        return ""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _first(fault: ValidationError) -> str:
    """Name the place of the first fault, never its value."""
    return ".".join(map(str, fault.errors(include_url=False, include_input=False)[0]["loc"]))[:100]
