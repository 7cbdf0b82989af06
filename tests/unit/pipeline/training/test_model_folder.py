"""A model folder is made whole, or not at all."""

import resource
from pathlib import Path

import pytest

from pipeline.atomic_write import write_whole
from pipeline.training.model_folder import build


def test_of_a_model_that_finds_no_room_nothing_is_left(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*model.*/manifest\.json"):
            build(tmp_path / "model", lambda folder: write_whole(folder / "manifest.json", b"{}"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []
