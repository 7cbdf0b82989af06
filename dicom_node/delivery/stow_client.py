"""HTTP client of a DICOMweb service: waits are bounded, errors of the library are translated."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from dicom_node.delivery.stow_response import HttpAnswer
from dicom_node.errors import NodeError
from dicom_node.network.answer_watch import AnswerWatch
from dicom_node.network.tls_failure import tls_cause

MAXIMUM_ANSWER_BYTES = 1 << 20  #: most that is read of an answer
CONNECT_SECONDS = 10.0  #: longest wait for a connection
AWAY = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
NO_ADDRESS = (httpx.InvalidURL, UnicodeError)  #: of a name that cannot be one: no httpx.HTTPError


class Unreachable(NodeError):
    """The service cannot be reached."""


class Unanswered(NodeError):
    """The service was there, and gave no answer to a request."""


class ServiceClient(httpx.Client):
    """A client of one service, with what hangs up on answers that take too long."""

    def __init__(self, url: str, watch: AnswerWatch, **options: Any) -> None:  # noqa: ANN401  # handed on
        super().__init__(base_url=url, **options)
        self.url, self.watch = url, watch  # the library cannot print every URL that it takes


def service_client(
    url: str,
    *,
    seconds: float,
    authorities: Path | None,
    auth: httpx.Auth | None,
    headers: Mapping[str, str],
) -> ServiceClient:
    """Make a client.

    Parameters
    ----------
    seconds
        Longest wait for the service to read or to send any bytes, and for its answer.
    authorities
        Certificates of those who sign the service's; None trusts those of the system.

    Raises
    ------
    NodeError
        If a certificate or the URL is not what it should be.
    """
    try:
        client = ServiceClient(
            url,
            AnswerWatch(seconds),
            verify=_context(authorities),
            auth=auth,
            headers=headers,
            timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
            trust_env=False,  # the settings alone say where results go, and as whom
            follow_redirects=False,
        )
        client.build_request("GET", "studies")  # fails of a name that is none
    except NO_ADDRESS as fault:
        raise NodeError(f"url: expected the URL of a service, got {url}") from fault
    return client


def exchange(request: httpx.Request, client: ServiceClient) -> HttpAnswer:
    """Send a request, and read the answer, up to `MAXIMUM_ANSWER_BYTES`.

    Raises
    ------
    Unreachable
        If the service cannot be reached.
    Unanswered
        If there is no answer, or it does not come to its end in time.
    """
    body, watch = bytearray(), client.watch
    request.extensions["trace"] = watch
    try:
        response = client.send(request, stream=True)
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAXIMUM_ANSWER_BYTES:
                    break
        finally:
            response.close()
    except (*AWAY, *NO_ADDRESS) as fault:
        why = "its name is not known" if _is_unknown_name(fault) else _why(fault)
        raise Unreachable(f"{client.url} cannot be reached: {why}") from fault
    except httpx.HTTPError as fault:
        slow = f"{client.url} answers too slowly"
        raise Unanswered(
            slow if watch.hung_up else f"{client.url} does not answer: {_why(fault)}"
        ) from fault
    finally:
        watch.stop()
    return HttpAnswer(
        status=response.status_code,
        content_type=response.headers.get("Content-Type", ""),
        body=bytes(body),
    )


def _why(fault: Exception) -> str:
    return tls_cause(fault) or str(fault) or type(fault).__name__


def _is_unknown_name(fault: BaseException | None) -> bool:
    """Say whether a name was looked up in vain: the cause of the library's own error."""
    while fault is not None:
        if isinstance(fault, socket.gaierror | UnicodeError | httpx.InvalidURL):
            return True
        fault = fault.__cause__ or fault.__context__
    return False


def _context(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as fault:
        raise NodeError(
            f"[tls] authorities: expected a PEM file of certificates, got {authorities}"
            f" ({type(fault).__name__})"
        ) from fault
