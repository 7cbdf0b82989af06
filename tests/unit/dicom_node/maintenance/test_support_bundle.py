"""A support bundle has what helps, and nothing of a patient, no UID and no secret."""

import json
import re
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.reader import load
from config.settings import Settings
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.maintenance.support import parts_of
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import NodeError
from dicom_node.maintenance.support_bundle import Pseudonyms, make_bundle
from pipeline.model.manifest import BUNDLED
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.quarantine_and_refusals import record_quarantine
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
UID = "1.2.276.0.7230010.3.1.4.8323329.4711.1517875165.213112"
CANARIES = (UID, "CANARY", "s3cret")
INI = """\
[node]
ae_title = AINODE
port = 11112
[storage]
folder = data
database_url = {url}
[log]
file = node.log
[destination WEB]
url = https://192.0.2.44/dicom-web
user = CANARY
password_file = password
[destination PACS]
ae_title = PACS
host = 192.0.2.55
port = 104
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "password").write_text("s3cret")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "node.ini").write_text(INI.format(url=database_url(tmp_path)))
    (tmp_path / "node.log").write_text(
        f'{{"series_uid": "{UID}", "event": "series_closed"}}\n'
        f'{{"path": "data/incoming/{UID}/x", "reason": "https://me:s3cret@192.0.2.44/"}}\n'
    )
    return load(tmp_path / "node.ini")


@pytest.fixture
def used(settings: Settings) -> Settings:
    """A storage folder and a database with a series, and with a file in quarantine."""
    resources = open_resources(settings)
    facts = InstanceFacts(
        sop_instance_uid=f"{UID}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=UID,
        study_instance_uid=f"{UID}.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{UID}",
        digest="a",
        bytes=3,
    )
    with resources.sessions.begin() as session:
        record_instance(session, facts, NOW)
        record_quarantine(
            session, "quarantine/CANARY.dcm", NOW, reason="no header", calling_ae="CT1"
        )
    resources.close()
    return settings


def read(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def test_it_has_what_helps_and_nothing_of_a_patient(used: Settings, tmp_path: Path) -> None:
    faults = make_bundle(tmp_path / "a.zip", parts_of(used, NOW), to_json=json_text)

    found = read(tmp_path / "a.zip")
    assert faults == dict.fromkeys(found, "")
    assert json.loads(found["about.json"])["model"]["name"] == BUNDLED.name
    assert json.loads(found["tables.json"])["series"] == 1
    status = json.loads(found["status.json"])
    assert status["states"] == {"receiving": 1}
    assert [line["reason"] for line in status["quarantine"]] == ["no header"]
    assert "192.0.2.55" in found["settings.json"]
    findings = {one["kind"]: one for one in json.loads(found["findings.json"])}
    assert findings["quarantine row without its file"]["what"] == "(left out)"
    assert 'dicom_node_series{state="receiving"} 1.0' in found["metrics.txt"]
    assert [
        (name, canary) for name, text in found.items() for canary in CANARIES if canary in text
    ] == []


def test_a_uid_is_the_same_word_within_a_bundle_and_another_in_the_next(
    used: Settings, tmp_path: Path
) -> None:
    def word(name: str) -> tuple[str, str]:
        make_bundle(tmp_path / name, parts_of(used, NOW), to_json=json_text)
        found = read(tmp_path / name)
        (series,) = json.loads(found["status.json"])["series"]
        return series["series_instance_uid"], json.loads(found["log.txt"].splitlines()[0])[
            "series_uid"
        ]

    of_status, of_log = word("a.zip")
    assert of_status == of_log
    assert of_status.startswith("uid-")
    assert word("b.zip")[0] != of_status


def test_what_is_broken_is_named_and_the_rest_is_packed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "node.log").unlink()

    faults = make_bundle(tmp_path / "a.zip", parts_of(settings, NOW), to_json=json_text)

    assert "FileNotFoundError" in faults["log.txt"]
    assert read(tmp_path / "a.zip")["log.txt"] == faults["log.txt"]
    assert (faults["about.json"], faults["settings.json"]) == ("", "")


def test_it_is_ours_alone_and_overwrites_nothing(used: Settings, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    make_bundle(file, parts_of(used, NOW), to_json=json_text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    with pytest.raises(NodeError, match="a new file"):
        make_bundle(file, parts_of(used, NOW), to_json=json_text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"incoming/{UID}.dcm", "incoming/U.dcm"),
        (f"of series {UID}.", "of series U."),
        (f"{UID}_7", "U_7"),
        ("of 2.25.171847265101352532464033088087353361129:", "of U:"),
        ("192.0.2.44:11112, version 3.6.7", "192.0.2.44:11112, version 3.6.7"),
        ('"by": "anna", "at": 1', '"by": "(left out)", "at": 1'),
        ("drained by anna b since 2024", "drained by (left out) since 2024"),
        ("https://me:s3cret@192.0.2.44/", "https://192.0.2.44/"),
    ],
)
def test_a_text_keeps_what_names_nobody(text: str, expected: str) -> None:
    assert re.sub(r"uid-[0-9a-f]{10}", "U", Pseudonyms().of(text)) == expected
