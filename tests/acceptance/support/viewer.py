"""OHIF on loopback: its files, its configuration, and a PACS behind it on the same origin."""

# ruff: noqa: S310  # a PACS on loopback

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.parse import unquote

from tests.support.paths import ROOT

FOLDER = Path(os.environ.get("DICOM_NODE_OHIF", ROOT / ".viewer" / "ohif"))
"""The built viewer, as installed by deploy/install-viewer.sh (npm: @ohif/app, its ``dist``)."""

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL 2 without a graphics card
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "pacs",
    "configuration": {
        "friendlyName": "PACS",
        "name": "orthanc",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "wadoUriRoot": "/wado",
        "qidoSupportsIncludeField": True,
        "supportsReject": False,
        "supportsFuzzyMatching": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "singlepart": "bulkdata,video,pdf",
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
    },
}
CONFIGURATION = {
    "name": "acceptance",
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "showLoadingIndicator": True,
    "showCPUFallbackMessage": False,
    "strictZSpacingForVolumeViewport": True,
    "groupEnabledModesFirst": True,
    "investigationalUseDialog": {"option": "never"},
    "maxNumRequests": {"interaction": 20, "thumbnail": 5, "prefetch": 5},
    "defaultDataSourceName": "pacs",
    "dataSources": [SOURCE],
}
ORTHANC = {
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    "UnknownSopClassAccepted": True,
    "DicomWeb": {
        "Enable": True,
        "Root": "/dicom-web/",
        "EnableWado": True,
        "WadoRoot": "/wado",
        "StudiesMetadata": "Full",
        "SeriesMetadata": "Full",
    },
}
"""Settings of an Orthanc that a web viewer can ask."""

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Only an isolated page may share memory with its workers, and volumes need that."""


class Handler(SimpleHTTPRequestHandler):
    """Files of the viewer; what begins with ``/dicom-web`` goes to the PACS."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, pacs: str) -> None:
        self.pacs = pacs
        super().__init__(*args, directory=str(FOLDER))  # type: ignore[arg-type]  # socketserver's

    def do_GET(self) -> None:
        if self.path.startswith(("/dicom-web", "/wado")):
            self._forward()
        elif self.path.startswith("/app-config.js"):
            self._answer(200, "text/javascript", f"window.config = {json.dumps(CONFIGURATION)};")
        else:
            if not Path(self.translate_path(self.path)).is_file():
                self.path = "/index.html"  # addresses inside the application
            super().do_GET()

    def _forward(self) -> None:
        # the viewer asks includefield=a,b; Orthanc's DICOMweb 1.7 knows one field at a time
        path, _, query = self.path.partition("?")
        terms = [split for term in query.split("&") for split in _single_fields(term)]
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        request = urllib.request.Request(f"{self.pacs}{path}?{'&'.join(terms)}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._answer(answer.status, answer.headers["Content-Type"], answer.read())
        except HTTPError as refusal:
            self._answer(refusal.code, "text/plain", refusal.read())

    def _answer(self, status: int, kind: str | None, body: str | bytes) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _single_fields(term: str) -> list[str]:
    name, _, value = term.partition("=")
    if name != "includefield":
        return [term]
    return [f"includefield={field}" for field in unquote(value).split(",")]


@contextmanager
def serving(pacs: str) -> Iterator[str]:
    """Serve the viewer before the PACS at this address; gives the viewer's own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, pacs=pacs)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
