"""Commands that change the INI file, show who did, and put it back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.errors import SettingsError
from config.reader import load
from config.settings import Settings
from config.versions import folder_of
from dicom_node.cli.app import app
from dicom_node.cli.settings import os_user
from dicom_node.errors import NodeError

TEXT = "# of the site\n[node]\nport = 104  \n"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "node.ini"
    file.write_text(TEXT)
    return file


def settings(ini: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["settings", *words, "--config", str(ini)])


def test_history_says_when_it_has_nothing_to_show(ini: Path) -> None:
    assert "no change is kept" in settings(ini, "history").stdout
    for port in ("105", "106"):
        settings(ini, "set", "node.port", port)
    folder = folder_of(ini)
    for file in folder.glob("000001-*"):
        file.unlink()
    assert "changes before 2 are not kept any more" in settings(ini, "history").stdout
    shutil.rmtree(folder)
    shown = settings(ini, "history").stdout
    assert f"{folder} was removed" in shown


def test_values_are_set_shown_and_put_back(ini: Path) -> None:
    done = settings(ini, "set", "analysis.threshold", "0.3", "destination PACS.url", "https://p/d")
    assert done.exit_code == 0, done.exception
    assert "[analysis] threshold: (default) -> 0.3" in done.stdout
    assert "within seconds" in done.stdout
    assert ini.read_text().startswith(TEXT)
    assert load(ini).analysis.threshold == 0.3

    done = settings(ini, "set", "node.port", "105")
    assert "needs a restart: [node] port" in done.stdout

    shown = settings(ini, "history").stdout
    assert os_user() in shown
    assert "[node] port: 104 -> 105" in shown

    assert settings(ini, "restore", "1").exit_code == 0
    assert ini.read_text() == TEXT
    assert "3  " in settings(ini, "history").stdout


def test_nothing_is_written_that_is_faulty(ini: Path) -> None:
    for folder in ("", ".", "/"):
        done = settings(ini, "set", "storage.folder", folder)
        assert isinstance(done.exception, SettingsError)
        assert "[storage] folder: expected a path that ends in" in str(done.exception)
    done = settings(ini, "set", "analysis.treshold", "0.3", "node.port", "many")
    assert isinstance(done.exception, SettingsError)
    assert "did you mean threshold?" in str(done.exception)
    assert "[node] port" in str(done.exception)
    assert ini.read_text() == TEXT
    assert "no change is kept" in settings(ini, "history").stdout


@pytest.mark.parametrize(
    "words", [("set", "analysis.threshold"), ("set", "threshold", "1"), ("restore", "7")]
)
def test_what_cannot_be_meant_is_refused(ini: Path, words: tuple[str, ...]) -> None:
    assert isinstance(settings(ini, *words).exception, NodeError)


def test_the_default_is_no_change(ini: Path) -> None:
    assert "nothing to do" in settings(ini, "set", "node.port", "104").stdout
    assert load(ini) != Settings()


@pytest.mark.parametrize("words", [("history",), ("history", "--json"), ("restore", "1")])
def test_changes_that_cannot_be_read_are_not_taken_for_none(
    ini: Path, words: tuple[str, ...]
) -> None:
    folder = folder_of(ini)
    folder.symlink_to(folder)  # which nobody can read, root neither
    ended = settings(ini, *words)

    assert isinstance(ended.exception, NodeError)
    assert str(ended.exception).startswith(f"{folder}: expected the changes that are kept")
    assert ended.stdout == ""
