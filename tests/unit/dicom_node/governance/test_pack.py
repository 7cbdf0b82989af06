"""A pack has every part with its digest, and says of what could not be read why."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_node.errors import NodeError
from dicom_node.governance.new_file import new_file
from dicom_node.governance.pack import EXPLAINED, README, SUMS, Part, make_pack

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def broken() -> Iterator[bytes]:
    yield b"begun"
    raise OSError("the disk is away")


def parts(**others: Part) -> dict[str, Part]:
    whole: dict[str, Part] = {name: lambda name=name: [name.encode()] for name in EXPLAINED}  # type: ignore[misc]  # its default is its name
    return whole | {name.replace("_", "."): read for name, read in others.items()}


def test_what_breaks_is_said_and_the_rest_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"

    faults = make_pack(file, parts(models_json=broken), NOW, {"AE title": "AINODE"})

    assert {name: fault for name, fault in faults.items() if fault} == {
        "models.json": "OSError: the disk is away"
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as pack:
        content = {name: pack.read(name) for name in pack.namelist()}
    assert set(content) == {*EXPLAINED, README, SUMS}
    assert content["licences.txt"] == b"licences.txt"
    assert content["models.json"].startswith(b"begun\n")
    said = content[README].decode()
    assert "AE title: AINODE" in said
    assert said.count("NOT WHOLE") == 1
    for line in content[SUMS].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(content[name]).hexdigest() == digest


def stopped() -> Iterator[bytes]:
    yield b"begun"
    raise KeyboardInterrupt


def test_one_that_breaks_off_leaves_no_file_that_looks_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with pytest.raises(KeyboardInterrupt):
        make_pack(file, parts(models_json=stopped), NOW, {})
    assert list(tmp_path.iterdir()) == []


def test_what_another_has_written_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="a new file"), new_file(tmp_path / "a.csv"):
        (tmp_path / "a.csv").write_text("mine")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_text("mine")
    with pytest.raises(NodeError, match="a new file"):
        make_pack(file, parts(), NOW, {})
    assert file.read_text() == "mine"
