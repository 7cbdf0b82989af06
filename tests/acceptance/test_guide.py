"""Orthanc, set up as the guide says word for word; only ports and the folder are others."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.support.orthanc import (
    SECONDS,
    Orthanc,
    modalities,
    poll,
    running_orthanc,
    upload,
)
from tests.support.node_process import NodeProcess
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
    settings = settings.replace("/etc/orthanc/ainode.lua", str(lua))
    with running_orthanc(tmp_path, **json.loads(settings)) as orthanc:
        yield orthanc


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
