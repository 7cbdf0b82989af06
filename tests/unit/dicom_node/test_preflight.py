"""Doubts about settings and libraries that do not keep the node from working."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.reader import load
from config.settings import Settings
from dicom_node.network.pynetdicom_internals.version import TESTED
from dicom_node.preflight import doubts

INI = """
[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = 11113
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ini = tmp_path / "node.ini"
    ini.write_text(INI)
    return load(ini)


@pytest.mark.parametrize("version", TESTED)
def test_a_tested_pynetdicom_is_no_doubt(settings: Settings, version: str) -> None:
    assert doubts(settings, pynetdicom=version) == []


def test_an_untested_pynetdicom_is_doubtful(settings: Settings) -> None:
    assert doubts(settings, pynetdicom="3.1.0") == [
        "pynetdicom 3.1.0: this node was tested with 3.0.4; it receives and sends by the slower way"
    ]
