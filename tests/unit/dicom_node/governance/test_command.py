"""The commands `governance`: files that must be new, and a pack that tells of a changed log."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.audit.decisions import Decided, DecisionLog
from dicom_node.cli.app import app
from dicom_node.cli.maintenance.governance_parts import LogNow, parts_of
from dicom_node.clock_watch import utc_now
from dicom_node.identity_key import keyed
from storage.files.decision_log import FILE
from tests.support.databases import database_url


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An installation that has decided something, and made nothing."""
    path = tmp_path / "node.ini"
    path.write_text(f"[storage]\nfolder = data\ndatabase_url = {database_url(tmp_path)}\n")
    keyed(open_resources(load(path))).close()
    for name in ("PACS", "RIS"):
        DecisionLog(tmp_path / "data", utc_now).record(Decided.PAUSED, {"destination": name})
    return path


def run(ini: Path, *words: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["governance", *map(str, words), "--config", str(ini)])
    return ended.exit_code, f"{ended.output} {ended.exception or ''}"


def test_a_pack_is_whole_until_the_log_of_decisions_was_changed(ini: Path, tmp_path: Path) -> None:
    assert run(ini, "pack", tmp_path / "a.zip")[0] == 0
    log = tmp_path / "data" / FILE
    log.write_text(log.read_text().replace("PACS", "PACT"))

    words = ["governance", "pack", str(tmp_path / "b.zip"), "--json", "--config", str(ini)]
    ended = CliRunner().invoke(app, words)

    assert (ended.exit_code, "line 2 does not follow" in ended.stderr) == (1, True)
    parts = json.loads(ended.stdout)["parts"]
    assert "line 2 does not follow" in parts.pop("decisions.jsonl")
    assert set(parts.values()) == {""}
    with zipfile.ZipFile(tmp_path / "b.zip") as pack:
        assert "line 2" in json.loads(pack.read("decisions-verified.json"))["fault"]
        assert pack.read("decisions.jsonl") == log.read_bytes()
        assert json.loads(pack.read("results.json")) == []


def test_what_is_decided_while_a_pack_is_made_is_in_no_part_of_it(
    ini: Path, tmp_path: Path
) -> None:
    log = LogNow(tmp_path / "data")
    parts = parts_of(load(ini), ini, utc_now(), log)
    with (tmp_path / "data" / FILE).open("ab") as file:
        file.write(b'{"half')

    first = next(iter(parts["decisions.jsonl"]()))
    DecisionLog(tmp_path / "data", utc_now).record(Decided.RESUMED, {"destination": "RIS"})

    text = b"".join(parts["decisions.jsonl"]())
    verified = json.loads(b"".join(parts["decisions-verified.json"]()))
    assert text == first
    assert text.endswith(b"}\n")
    digest = hashlib.sha256(text.splitlines()[-1]).hexdigest()
    assert verified == {"head": f"2:{digest}", "fault": ""}


@pytest.mark.database
@pytest.mark.parametrize(
    ("name", "words"), [("r.csv", "study_record,"), ("r.json", "[]"), ("r.txt", "")]
)
def test_a_registry_gets_csv_or_json_and_no_file_is_overwritten(
    ini: Path, tmp_path: Path, name: str, words: str
) -> None:
    file = tmp_path / name
    status, said = run(ini, "registry", file, "--since", "2026-03-01")
    if not words:
        assert (status, "ends with .csv or .json" in said) == (1, True)
        return
    assert status == 0, said
    assert file.read_text().startswith(words)
    status, said = run(ini, "registry", file)
    assert (status, "expected a new file" in said) == (1, True)
