"""Pipes, folders and endless files in the place of the INI file are refused at once."""

import os
from pathlib import Path

import pytest

from config.errors import SettingsError
from config.reader import MAXIMUM_BYTES, load


def test_a_pipe_nobody_writes_to_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node.ini")
    with pytest.raises(SettingsError, match="something else"):
        load(tmp_path / "node.ini")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load(tmp_path)


def test_a_file_longer_than_settings_are_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "node.ini").open("wb") as file:
        file.truncate(MAXIMUM_BYTES + 1)
    with pytest.raises(SettingsError, match=f"at most {MAXIMUM_BYTES} bytes"):
        load(tmp_path / "node.ini")
