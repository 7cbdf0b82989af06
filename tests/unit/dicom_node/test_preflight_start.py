"""`check` and the start of the node agree: what the start refuses is a fault, all else a doubt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest
import trustme

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.engine import engine_of
from dicom_node.assembly.resources import open_resources
from dicom_node.errors import NodeError
from dicom_node.folder_lock import RESTORING
from dicom_node.health import Health
from dicom_node.node.lifecycle import held_folder, start_node
from dicom_node.preflight.awaited import awaited
from dicom_node.preflight.faults import faults
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED
from storage.errors import StorageError
from tests.support.light_node import LightEngine
from tests.support.node_process import free_port

GONE = "certificate = gone\nkey = gone\nauthorities = gone\n"
TLS_GONE = f"[tls]\n{GONE}"
PACS = "[destination PACS]\nae_title = PACS\nhost = 127.0.0.1\nport = 1\n"
PEM = "certificate = cert.pem\nkey = key.pem\nauthorities = ca.pem\n"

REFUSED = {
    "an address of another machine": "[dicomweb]\nport = 18042\nbind = 192.0.2.7\n"
    "token_file = secret\n",
    "no token for senders": "[dicomweb]\nport = 18042\ntoken_file = gone\n",
    "no certificate of our port": f"{TLS_GONE}receive = yes\n",
    "no certificate of the reports' port": f"{TLS_GONE}[reports]\nport = 18044\ntls = yes\n"
    "senders = 127.0.0.1\n",
    "no certificate of the audit trail": f"{TLS_GONE}[audit]\nsyslog = 127.0.0.1:6514\n"
    "protocol = tls\n",
    "no certificate for HL7": f"{TLS_GONE}[destination RIS]\nhl7 = 127.0.0.1:5\ntls = yes\n",
    "a destination, and TLS is not configured": f"{PACS}tls = yes\n",
    "a worklist, and TLS is not configured": "[worklist]\nmanager = UPS@127.0.0.1:104\n"
    "station_name = A\ntls = yes\n",
    "some files of the engine": "[engine]\nkey = key.pem\n",
    "no model": "[analysis]\nmodel = gone\n",
    "a folder that is a file": "[storage]\nfolder = secret\n",
    "a folder that was restored in part": "[storage]\nfolder = restored\n",
    "a database that is away": "[storage]\nfolder = data\n"
    "database_url = postgresql://127.0.0.1:1/x\n",
    "receivers that share SQLite": "[node]\nreceiver = a\n",
}
AWAITED = {
    "all that an embedded engine allows": (
        f"{TLS_GONE}{PACS}tls = yes\n"
        "[worklist]\nmanager = UPS@127.0.0.1:104\nstation_name = A\ntls = yes\n"
        "[destination WEB]\nurl = https://pacs.invalid/d\ntoken_file = gone\n"
        "[destination FHIR]\nfhir = http://127.0.0.1:1/d\ntoken_file = gone\n"
        "[analysis]\nmodel = half\ndevice = cuda\n"
        "[notify]\nrecipients_file = gone\n"
        "[monitoring]\nport = 18045\nbind = 192.0.2.7\ncertificate = gone\nkey = gone\n",
        [
            "[tls] certificate, key: expected PEM files",
            "[destination WEB] token_file: expected a file",
            "[destination FHIR] token_file: expected a file",
            "[analysis] model: expected a readable file",
            "[analysis] device: expected a CUDA device",
            "[notify] recipients_file: expected a file",
            "[monitoring] bind: expected an address of this machine",
            "[monitoring] certificate, key: expected PEM files",
        ],
    ),
    "a scheduler": (
        "[engine]\nscheduler = tls://localhost:{port}\n" + PEM,
        ["[engine] scheduler: no scheduler at"],
    ),
    "files of a scheduler": (
        "[engine]\nscheduler = tls://localhost:{port}\n" + GONE,
        ["[engine] certificate, key, authorities: expected PEM files"],
    ),
}
NOTHING = {
    "all of it": "",
    "a destination that is not enabled": f"{TLS_GONE}{PACS}tls = yes\nenabled = no\n"
    "[destination WEB]\nurl = https://pacs.invalid/d\ntoken_file = gone\nenabled = no\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the settings name, and a storage folder that a node has begun."""
    folder = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "secret").write_text("nobody-knows")
    (folder / "half").mkdir()
    shutil.copy(BUNDLED / "manifest.json", folder / "half")
    begun = folder / "begun.ini"
    begun.write_text("[storage]\nfolder = dicom-node-data\n")
    open_resources(load(begun)).close()
    return folder


@pytest.fixture
def place(files: Path, tmp_path: Path) -> Path:
    place = tmp_path / "place"
    shutil.copytree(files, place)
    (place / "restored" / RESTORING).mkdir(parents=True)
    return place


def settings_of(place: Path, text: str) -> Settings:
    ini = place / "node.ini"
    node = "" if "[node]" in text else "[node]\n"
    text = f"{node}{text}".replace("[node]\n", f"[node]\nbind = 127.0.0.1\nport = {free_port()}\n")
    ini.write_text(text.format(port=free_port()))
    return load(ini)


def engine(settings: Settings, health: Health) -> ComputeEngine:
    """The engine that the settings describe; of an embedded one no process is started."""
    described = engine_of(settings, health)
    return (
        described if settings.engine.scheduler != "embedded" else cast(ComputeEngine, LightEngine())
    )


def starts(settings: Settings) -> bool:
    try:
        with held_folder(settings):
            start_node(settings, open_resources(settings), make_engine=engine).stop()
    except (NodeError, StorageError, ModelError):
        return False
    return True


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_start_refuses_is_a_fault(place: Path, case: str) -> None:
    settings = settings_of(place, REFUSED[case])

    assert faults(settings)
    assert not starts(settings)


@pytest.mark.parametrize("case", AWAITED)
def test_what_the_node_starts_without_is_said_and_no_fault(place: Path, case: str) -> None:
    text, expected = AWAITED[case]
    settings = settings_of(place, text)

    assert faults(settings) == []
    for sentence, beginning in zip(awaited(settings), expected, strict=True):
        assert sentence.startswith(beginning)
    assert starts(settings)


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of_what_nobody_uses(place: Path, case: str) -> None:
    settings = settings_of(place, NOTHING[case])

    assert (faults(settings), awaited(settings)) == ([], [])
    assert starts(settings)
