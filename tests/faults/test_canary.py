"""Nothing of a patient is in what a node hands out for help, for audits and for registries."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.datadict import DicomDictionary

from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.governance.result_records import without_identity
from pipeline.encode.bundle import part10
from tests.faults.test_backup import command, series, start, store
from tests.support.node_process import NodeProcess, wait_until
from tests.support.samples import feedback_documents as documents

MakeNode = Callable[..., NodeProcess]
pytestmark = [pytest.mark.slow, pytest.mark.database, pytest.mark.timeout(600)]

TEXT = {"PN", "LO", "SH", "ST", "LT", "UT", "UC"}
GROUPS = {0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040}
EQUIPMENT = {
    *("Manufacturer", "ManufacturerModelName", "StationName", "SoftwareVersions"),
    *("ConvolutionKernel", "TimezoneOffsetFromUTC"),
}
"""Attributes that are told of a scanner, and one that would be no value."""
CANARY = "kanari"
BORN, STUDY_DAY = "19031217", "20190518"
READER = "Kanarileser^Kim"


def with_canaries(folder: Path) -> set[str]:
    """Put a canary into every text attribute of the images; return what must be found nowhere."""
    names = [
        keyword
        for tag, (representation, multiplicity, _, retired, keyword) in DicomDictionary.items()
        if representation in TEXT
        and tag >> 16 in GROUPS
        and not retired
        and multiplicity.startswith("1")
        and keyword not in EQUIPMENT
    ]
    assert {"PatientName", "PatientID", "AccessionNumber", "StudyDescription"} <= set(names)
    uids = set()
    for file in folder.iterdir():
        images = dcmread(file)
        for number, keyword in enumerate(names):
            setattr(images, keyword, f"{CANARY}{number}")
        images.PatientBirthDate, images.StudyDate, images.PatientAge = BORN, STUDY_DAY, "115Y"
        uids |= {images.StudyInstanceUID, images.SeriesInstanceUID, images.SOPInstanceUID}
        dcmwrite(file, images)
    return {CANARY, BORN, STUDY_DAY, "2019-05-18", *uids}


def answer(pacs: StandInPacs, folder: Path) -> None:
    """A reader rejects the report, with a canary for a name and for what she says."""
    reports = [ds for ds in map(dcmread, pacs.files) if ".88." in ds.SOPClassUID]
    subject = documents.named(
        reports[0].SOPInstanceUID, reports[0].SeriesInstanceUID, reports[0].SOPClassUID
    )
    subject.StudyInstanceUID, subject.PatientID = reports[0].StudyInstanceUID, reports[0].PatientID
    subject.PatientBirthDate = BORN
    said = (documents.decision("reject"), documents.comment(f"{CANARY} coughs"))
    folder.mkdir()
    note = documents.assessment([subject], *said, reader=READER)
    (folder / "answer.dcm").write_bytes(part10(note))


def texts(file: Path | io.BytesIO) -> Iterator[tuple[str, str]]:
    """Name and text of everything in a zip file, and in those within."""
    with zipfile.ZipFile(file) as bundle:
        for name in bundle.namelist():
            content = bundle.read(name)
            if name.endswith(".zip"):
                yield from texts(io.BytesIO(content))
            else:
                yield name, content.decode()


def govern(node: NodeProcess, *words: str | Path) -> str:
    return command("governance", *words, "--config", node.ini)


def start_really(node: NodeProcess) -> None:
    node.start()


@pytest.mark.parametrize(
    "begin", [start, pytest.param(start_really, marks=pytest.mark.long)], ids=["light", "real"]
)
def test_no_canary_is_in_any_of_it_before_and_after_an_erasure(
    begin: Callable[[NodeProcess], None],
    make_node: MakeNode,
    pacs: StandInPacs,
    tmp_path: Path,
    chest: Path,
) -> None:
    ct = tmp_path / "ct"
    if begin is start:
        series(ct, 1)
    else:
        ct.mkdir()
        for image in chest.iterdir():
            (ct / image.name).write_bytes(image.read_bytes())
    canaries = with_canaries(ct)
    node = make_node(pacs.port, more="file = node.log\n")
    begin(node)
    store(node, ct)
    node.wait_for_state("delivered")
    answer(pacs, tmp_path / "answer")
    store(node, tmp_path / "answer")
    wait_until(
        lambda: sorted(node.states()) == ["delivered", "feedback"], seconds=60, what="the answer"
    )
    quarantine = node.folder / "data" / "quarantine"
    quarantine.mkdir(exist_ok=True)
    (quarantine / f"{CANARY}.dcm").write_bytes(b"x")

    command("support", tmp_path / "support.zip", "--config", node.ini)
    govern(node, "pack", tmp_path / "before.zip")
    assert node.stop() == 0
    uid = dcmread(next(ct.iterdir())).SeriesInstanceUID
    command("erase", "--series", uid, "--yes", "--config", node.ini)
    govern(node, "pack", tmp_path / "after.zip")

    for file in ("support.zip", "before.zip", "after.zip"):
        assert_without(tmp_path / file, {*canaries, READER})
    assert_kept(*(dict(texts(tmp_path / f"{when}.zip")) for when in ("before", "after")))
    with zipfile.ZipFile(tmp_path / "after.zip") as bundle:
        bundle.extractall(tmp_path / "unpacked")
    checked = subprocess.run(
        ["sha256sum", "--check", "--status", "SHA256SUMS"], cwd=tmp_path / "unpacked", check=False
    )
    assert checked.returncode == 0


def assert_without(file: Path, canaries: set[str]) -> None:
    found = list(texts(file))
    assert len(found) >= 9
    for name, text in found:
        assert [one for one in canaries if one.lower() in text.lower()] == [], (file, name)


def assert_kept(before: dict[str, str], after: dict[str, str]) -> None:
    """What a pack says before and after the series was erased."""
    (record,), (kept,) = (json.loads(pack["results.json"]) for pack in (before, after))
    assert (record["study"]["erased"], kept["study"]["erased"]) == (False, True)
    assert record["agreement"]["readers"] == {"rejected": 1}
    coarse = without_identity(record)["result"]
    assert (kept["result"], kept["agreement"]) == (coarse, record["agreement"])
    (row,) = csv.DictReader(io.StringIO(after["results.csv"]))
    assert row["study_study"] == ""
    assert json.loads(after["decisions-verified.json"])["fault"] == ""
    kinds = [json.loads(line)["what"] for line in after["decisions.jsonl"].splitlines()]
    assert {"started", "result", "sent", "erased"} <= set(kinds)
    (model,) = [one for one in json.loads(after["models.json"]) if one["made"]]
    assert (model["made"]["results"], model["erased"]) == (1, 1)
    assert "dicom_node_" in before["metrics.txt"]
    assert json.loads(before["findings.json"]) == []
