"""Real surroundings: a PACS (Orthanc), DCMTK's clients, a validator, on free ports of loopback."""

# ruff: noqa: ANN401, S310  # JSON of a server on loopback
import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what JSON holds

import pytest

from tests.support.node_process import free_port

TOOLS = ("Orthanc", "storescu", "dcmsend", "dciodvfy", "dsrdump")


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (deploy/install-acceptance.sh)")


def poll(done: Any, *, seconds: float, what: str) -> Any:
    """Ask every half second until there is an answer."""
    pause = threading.Event()
    for _ in range(int(seconds * 2)):
        if answer := done():
            return answer
        pause.wait(0.5)
    raise TimeoutError(f"{what}: not within {seconds} s")


@dataclass(frozen=True)
class Orthanc:
    rest: str
    dicom_port: int

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.rest + path, timeout=60) as answer:
            return json.load(answer)

    def file(self, path: str) -> bytes:
        with urllib.request.urlopen(self.rest + path, timeout=60) as answer:
            return bytes(answer.read())

    def post(self, path: str, value: Any) -> Any:
        request = urllib.request.Request(self.rest + path, json.dumps(value).encode())
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def find(self, **query: str) -> list[str]:
        level = "Series" if "SeriesInstanceUID" in query or "Modality" in query else "Study"
        return list(self.post("/tools/find", {"Level": level, "Query": query}))


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    modalities = {"ainode": ["AINODE", "127.0.0.1", node_port]}
    with running_orthanc(tmp_path, DicomModalities=modalities) as pacs:
        yield pacs


@contextmanager
def running_orthanc(folder: Path, **more: Any) -> Iterator[Orthanc]:
    """Orthanc with its storage in a folder; ``more`` of its settings by name."""
    http, dicom = free_port(), free_port()
    storage = folder / "orthanc"
    storage.mkdir()
    settings = {
        "Name": "acceptance",
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "Plugins": [],
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "DicomAlwaysAllowStore": True,
        "SynchronousCMove": True,
        "StableAge": 2,
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
    pacs = Orthanc(rest=f"http://127.0.0.1:{http}", dicom_port=dicom)

    def answers() -> bool:
        try:
            return bool(pacs.get("/system"))
        except OSError:
            return False

    try:
        poll(answers, seconds=30, what="Orthanc's start")
        yield pacs
    finally:
        process.terminate()
        process.wait(30)
