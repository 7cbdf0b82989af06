"""Send reports to a FHIR server, each as one transaction, so that it is there whole or not at all.

Secrets are files, read again each time; they are in no error and no log.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.delivery.fhir.resources import Resource, name_of, resources, transaction
from dicom_node.delivery.outcome import UNREADABLE, Outcome, Verdict, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.report_content import read_report
from dicom_node.delivery.stow_client import ServiceClient, Unanswered, exchange, service_client
from dicom_node.delivery.stow_response import (
    OF_THE_PLACE,
    SERVER_ERRORS,
    SUCCESSFUL,
    TRANSIENT_ERRORS,
    HttpAnswer,
    words,
)
from dicom_node.delivery.stow_sender import headers, password
from dicom_node.errors import NodeError

FHIR_JSON = "application/fhir+json"
NOT_THERE = (404, 410)  #: HTTP status of a resource that is not, or not any more
CONFLICTS = (409, 412)  #: of another's change at the same moment: it passes


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirSender:
    """Sends by transactions to a FHIR server.

    Attributes
    ----------
    url
        Base URL of the server.
    timeout_seconds, user, password_file, token_file, authorities
        As in `dicom_node.delivery.stow_sender.StowSender`.
    """

    url: str
    timeout_seconds: float = 30.0
    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    authorities: Path | None = None

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send the reports in order; after one without an answer the others are postponed."""
        waiting = list(files)
        try:
            with self._client() as client:
                while waiting:
                    outcome = _send(client, waiting[0])
                    yield waiting.pop(0), outcome
                    if outcome.verdict is Verdict.UNANSWERED:
                        raise Unanswered(outcome.detail)
        except NodeError as fault:
            yield from ((file, _postponed(fault)) for file in waiting)

    def echo(self) -> Outcome:
        """Verify the server by its CapabilityStatement: it must be one of FHIR R4 or R4B."""
        try:
            with self._client() as client:
                answer = exchange(client.build_request("GET", "metadata"), client)
        except NodeError as fault:
            return _postponed(fault)
        if answer.status not in SUCCESSFUL:
            return Outcome(
                verdict=Verdict.REFUSED, status=answer.status, detail=words(answer.status)
            )
        version = str(_read(answer).get("fhirVersion", "none"))
        if not version.startswith("4."):
            detail = f"expected a server of FHIR 4 at fhir, got version {version}"
            return Outcome(verdict=Verdict.REFUSED, status=answer.status, detail=detail)
        return Outcome(verdict=Verdict.ACCEPTED, status=answer.status)

    def probe(self) -> None:
        """Return None: a FHIR server negotiates no SOP classes."""

    def check(self) -> None:
        """Read the secrets and certificates that sending needs.

        Raises
        ------
        NodeError
            If one is missing or is not what it should be; it is named.
        """
        self._client().close()

    def _client(self) -> ServiceClient:
        return service_client(
            self.url,
            seconds=self.timeout_seconds,
            authorities=self.authorities,
            auth=password(self.user, self.password_file),
            headers=headers(FHIR_JSON, self.token_file),
        )


def _send(client: ServiceClient, outgoing: OutgoingFile) -> Outcome:
    """Send one report.

    Raises
    ------
    Unreachable
        If the server cannot be reached.
    """
    try:
        made = resources(read_report(outgoing.path))
    except UNREADABLE as fault:
        return unsendable(fault)
    try:
        earlier = exchange(client.build_request("GET", name_of(made[0])), client)
        if earlier.status not in (*SUCCESSFUL, *NOT_THERE):
            return _judge(earlier)
        bundle = transaction(made, _observations(earlier, made[0]), client.url)
        request = client.build_request(
            "POST",
            client.url,
            content=json.dumps(bundle).encode(),
            headers={"Content-Type": FHIR_JSON, "Prefer": "return=minimal"},
        )
        answer = exchange(request, client)
    except Unanswered as fault:
        return Outcome(verdict=Verdict.UNANSWERED, detail=str(fault))
    if answer.status not in SUCCESSFUL:
        return _judge(answer)
    return _proof(answer, bundle["entry"])


def _observations(answer: HttpAnswer, report: Resource) -> list[str]:
    """List the Observations of ours in the DiagnosticReport that is there, if one is."""
    if answer.status not in SUCCESSFUL:
        return []
    named = [_dict(one).get("reference") for one in _list(_read(answer).get("result"))]
    ours = f"Observation/{report['id']}-"
    return [name for name in named if isinstance(name, str) and name.startswith(ours)]


def _proof(answer: HttpAnswer, entries: Sequence[Resource]) -> Outcome:
    """Decide what a success proves: each entry must have one of its own."""
    bundle = _read(answer)
    responses = [_dict(_dict(one).get("response")) for one in _list(bundle.get("entry"))]
    statuses = [str(one.get("status", "")) for one in responses]
    if (
        bundle.get("type") == "transaction-response"
        and len(statuses) == len(entries)
        and all(status.startswith("2") for status in statuses)
    ):
        return Outcome(verdict=Verdict.ACCEPTED, status=answer.status)
    detail = "it does not say that it stored every resource"
    return Outcome(verdict=Verdict.POSTPONED, status=answer.status, detail=detail)


def _judge(answer: HttpAnswer) -> Outcome:
    """Decide what a status other than success says of a report."""
    status = answer.status
    passes = status >= SERVER_ERRORS or status in (*TRANSIENT_ERRORS, *OF_THE_PLACE, *CONFLICTS)
    verdict = Verdict.POSTPONED if passes or status < 400 else Verdict.REFUSED
    return Outcome(verdict=verdict, status=status, detail=words(status))


def _read(answer: HttpAnswer) -> dict[str, Any]:
    """Read an answer in JSON; empty for what is none."""
    try:
        return _dict(json.loads(answer.body))
    except (ValueError, RecursionError):
        return {}


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _postponed(fault: NodeError) -> Outcome:
    return Outcome(verdict=Verdict.POSTPONED, detail=str(fault))
