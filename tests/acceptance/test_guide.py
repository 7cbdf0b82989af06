"""Orthanc as Debian installs it, set up as the guide says; only ports and folders are others."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.support.orthanc import (
    SECONDS,
    Orthanc,
    modalities,
    poll,
    started_orthanc,
    upload,
)
from tests.support.node_process import NodeProcess, free_port
from tests.support.paths import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]
GUIDE = ROOT / "docs" / "administrator" / "connecting.md"


def block(language: str) -> str:
    """First code block of a language in the chapter of Orthanc, without its indentation."""
    chapter = GUIDE.read_text().partition("## Orthanc")[2].partition("\n## ")[0]
    found = re.search(rf"^( *)```{language}\n(.*?)^\1```", chapter, re.M | re.S)
    assert found is not None, language
    return re.sub(rf"^{found[1]}", "", found[2], flags=re.M)


@pytest.fixture
def pacs(tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    lua = tmp_path / "ainode.lua"
    lua.write_text(block("lua"))
    settings = block("json").replace("11112", str(node_port))
    entries = json.loads(settings.replace("/etc/orthanc/ainode.lua", str(lua)))
    http, dicom = free_port(), free_port()
    text = installed(entries, {"8042": http, "4242": dicom, "/var/lib/orthanc": tmp_path})
    with started_orthanc(tmp_path, text, http=http, dicom=dicom) as orthanc:
        yield orthanc


def installed(entries: Mapping[str, object], places: Mapping[str, object]) -> str:
    """Fill entries of the settings that Debian installs, which have each of them, and empty."""
    text = Path("/etc/orthanc/orthanc.json").read_text()
    for there, here in places.items():
        text = text.replace(there, str(here))
    for name, entry in entries.items():
        before, head, after = re.split(rf'("{name}" : [\[{{])', text)
        text = f"{before}{head}{json.dumps(entry)[1:-1]}{after}"
    return text


@pytest.fixture
def node(pacs: Orthanc, node_port: int, tmp_path: Path) -> Iterator[NodeProcess]:
    running = NodeProcess(tmp_path, node_port)
    ini = block("ini").replace("4242", str(pacs.dicom_port))
    running.ini.write_text(ini.replace("[node]\n", f"[node]\nport = {node_port}\n"))
    running.start(wait=False)  # it lets nobody in but Orthanc
    try:
        poll(lambda: "node_started" in running.log(), seconds=60, what="the node's start")
        yield running
    finally:
        assert running.stop() == 0, running.log()


def test_a_chest_ct_that_reaches_orthanc_has_results_in_its_study(
    pacs: Orthanc, node: NodeProcess, chest: Path
) -> None:
    study = upload(pacs, chest)

    poll(lambda: node.states() == ["delivered"], seconds=SECONDS, what=f"results\n{node.log()}")
    assert {"CT", "SR", "SEG", "OT"} <= set(modalities(pacs, study))
