"""The example INI and the table of the README agree with the settings."""

import re
from pathlib import Path

from config import DicomDestination, Settings, WebDestination, example_ini, load, settings_table
from config.reader import SECTIONS
from tests.support.paths import ROOT

EXAMPLE = ROOT / "deploy" / "dicom-node.example.ini"


def from_text(folder: Path, text: str) -> Settings:
    (folder / "node.ini").write_text(text)
    return load(folder / "node.ini")


def test_example_in_deploy_is_the_one_the_code_renders() -> None:
    assert EXAMPLE.read_text() == example_ini()


def test_example_as_it_is_gives_the_defaults(tmp_path: Path) -> None:
    assert from_text(tmp_path, example_ini()) == from_text(tmp_path, "")


def test_example_with_every_key_taken_gives_the_defaults_and_its_destinations(
    tmp_path: Path,
) -> None:
    everything = re.sub(r"(?m)^#(?=\S)", "", example_ini())
    settings = from_text(tmp_path, everything)

    assert settings.destinations == (
        DicomDestination(name="PACS", ae_title="PACS", host="pacs.example.org", port=104),
        WebDestination(name="WEB", url="https://pacs.example.org/dicom-web"),
    )
    assert settings.model_copy(update={"destinations": ()}) == from_text(tmp_path, "")


def test_every_key_is_in_the_example_and_in_the_table() -> None:
    table = settings_table()
    for title, model in SECTIONS.items():
        for key in model.model_fields:
            assert f"\n#{key} =" in example_ini()
            assert table.count(f"| `[{title}]` | `{key}` |") == 1
    for key in {*DicomDestination.model_fields, *WebDestination.model_fields} - {"name"}:
        assert f"| `[destination NAME]` | `{key}` |" in table


def test_table_shows_defaults_as_they_are_written() -> None:
    rows = settings_table().splitlines()
    assert rows[0] == "| section | key | default | meaning |"
    assert "| `[node]` | `ae_title` | `AINODE` | Our AE title. (restart) |" in rows
    assert any(row.startswith("| `[node]` | `calling_aes` | (empty) |") for row in rows)
    assert any(row.startswith("| `[results]` | `text_report` | `yes` |") for row in rows)
    assert all(row.count("|") == 5 for row in rows)
