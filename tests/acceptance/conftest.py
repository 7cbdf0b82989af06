"""Fixtures of the acceptance tests: Orthanc on free ports of loopback, and the tools required."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.support.orthanc import Orthanc, running_orthanc
from tests.support.node_process import free_port

TOOLS = ("Orthanc", "storescu", "dcmsend", "dciodvfy", "dsrdump")


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (deploy/install-acceptance.sh)")


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    modalities = {"ainode": ["AINODE", "127.0.0.1", node_port]}
    with running_orthanc(tmp_path, DicomModalities=modalities) as pacs:
        yield pacs
