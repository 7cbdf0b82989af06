"""A FHIR server that keeps what it is sent, and takes only what is valid R4B."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle

from tests.support.peers.web_sink import Posted, WebSink, web_sink

Answered = tuple[int, str, bytes]


class FhirServer:
    """Holds resources by their relative references.

    Attributes
    ----------
    refusals
        HTTP statuses that the next transactions get instead.
    silent_of
        Number of entries of which a transaction is not told what became of them.
    nonsense
        What is answered instead, to a request with that method.
    """

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.refusals: list[int] = []
        self.silent_of = 0
        self.nonsense: dict[str, bytes] = {}
        self.version = "4.3.0"
        self.sink: WebSink

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sink.port}/r4"

    def answer(self, posted: Posted) -> Answered:
        path = posted.path.removeprefix("/r4").strip("/")
        if path == "metadata":
            return _json(200, {"resourceType": "CapabilityStatement", "fhirVersion": self.version})
        if posted.method in self.nonsense:
            return 200, "application/fhir+json", self.nonsense[posted.method]
        if posted.method == "GET":
            return _json(200, self.held[path]) if path in self.held else _json(404, {})
        if self.refusals:
            return _json(self.refusals.pop(0), {"resourceType": "OperationOutcome"})
        bundle = json.loads(posted.body)
        Bundle.model_validate(bundle)
        for entry in bundle["entry"]:
            self._change(entry)
        done = [{"response": {"status": "200"}} for _ in bundle["entry"][self.silent_of :]]
        answered = {"resourceType": "Bundle", "type": "transaction-response", "entry": done}
        return _json(200, answered)

    def _change(self, entry: Any) -> None:  # noqa: ANN401  # of a bundle
        request, resource = entry["request"], entry.get("resource")
        if request["method"] == "DELETE":
            del self.held[request["url"]]
            return
        assert request["url"] == f"{resource['resourceType']}/{resource['id']}"
        assert entry["fullUrl"] == f"{self.url}/{request['url']}"
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        self.held[request["url"]] = resource


def _json(status: int, found: Any) -> Answered:  # noqa: ANN401  # anything in JSON
    return status, "application/fhir+json", json.dumps(found).encode()


@contextmanager
def fhir_server() -> Iterator[FhirServer]:
    """A server on a free port of this machine."""
    server = FhirServer()
    with web_sink(server.answer) as server.sink:
        yield server
