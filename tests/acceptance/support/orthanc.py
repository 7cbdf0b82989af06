"""Orthanc on loopback, and requests to it."""

# ruff: noqa: ANN401, S310  # JSON of a server on loopback
import io
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what JSON holds

from pydicom import Dataset, dcmread

from tests.support.node_process import free_port

SECONDS = 240  #: longest wait for results; how long they take is measured elsewhere


def poll(done: Any, *, seconds: float, what: str) -> Any:
    """Ask every half second until there is an answer, and return it."""
    pause = threading.Event()
    for _ in range(int(seconds * 2)):
        if answer := done():
            return answer
        pause.wait(0.5)
    raise TimeoutError(f"{what}: not within {seconds} s")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its REST interface, and its DICOM port."""

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


@contextmanager
def running_orthanc(folder: Path, **more: Any) -> Iterator[Orthanc]:
    """Run Orthanc with its storage in a folder; ``more`` gives settings by name."""
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
    with started_orthanc(folder, json.dumps(settings), http=http, dicom=dicom) as pacs:
        yield pacs


@contextmanager
def started_orthanc(folder: Path, settings: str, *, http: int, dicom: int) -> Iterator[Orthanc]:
    """Run Orthanc with the text of a file of settings, which names these ports."""
    (folder / "orthanc.json").write_text(settings)
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


def upload(orthanc: Orthanc, folder: Path) -> str:
    """Load a series into the PACS with dcmsend; return its Study Instance UID."""
    where = ["127.0.0.1", str(orthanc.dicom_port)]
    command = ["dcmsend", "-aec", "ORTHANC", "+sd", *where, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return str(dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID)


def push(orthanc: Orthanc, study_uid: str) -> None:
    (study,) = orthanc.find(StudyInstanceUID=study_uid)
    orthanc.post("/modalities/ainode/store", {"Resources": [study], "Synchronous": True})


def modalities(orthanc: Orthanc, study_uid: str) -> dict[str, list[str]]:
    """Modality to Orthanc's identifiers of the series of one study."""
    (study,) = orthanc.find(StudyInstanceUID=study_uid)
    found: dict[str, list[str]] = {}
    for series in orthanc.get(f"/studies/{study}")["Series"]:
        modality = orthanc.get(f"/series/{series}")["MainDicomTags"]["Modality"]
        found.setdefault(modality, []).append(series)
    return found


def objects(orthanc: Orthanc, series: str) -> list[Dataset]:
    instances = orthanc.get(f"/series/{series}")["Instances"]
    return [
        dcmread(io.BytesIO(orthanc.file(f"/instances/{instance}/file"))) for instance in instances
    ]
