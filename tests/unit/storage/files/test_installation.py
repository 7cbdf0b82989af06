"""The identity of the installation is one word, or the file is said to hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.files.folder import StorageFolder
from storage.files.installation import STATION, draw_installation, installation_of


def test_it_is_drawn_once(tmp_path: Path) -> None:
    StorageFolder(tmp_path, 0)
    assert installation_of(tmp_path) == ""
    draw_installation(tmp_path)
    drawn = installation_of(tmp_path)
    draw_installation(tmp_path)
    assert installation_of(tmp_path) == drawn != ""


@pytest.mark.parametrize("content", [b"\xff\xfe", b"two words", b"../up", b"line\nline"])
def test_something_else_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    StorageFolder(tmp_path, 0)
    (tmp_path / STATION).write_bytes(content)
    with pytest.raises(StorageError, match="restore this file"):
        draw_installation(tmp_path)
    assert (tmp_path / STATION).read_bytes() == content
