"""A model is found by its digest, wherever a machine has it."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.model.installed import installed_model
from pipeline.model.manifest import BUNDLED, MANIFEST, read_manifest

BUNDLED_SHA256 = read_manifest(BUNDLED)[1]


def another_model(folder: Path) -> str:
    """Make a folder with the manifest of another model; return its digest."""
    folder.mkdir(parents=True)
    text = (BUNDLED / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace(f'"{BUNDLED.name}"', '"another"', 1))
    return read_manifest(folder)[1]


def test_the_bundled_model_is_found_though_the_node_has_it_elsewhere(tmp_path: Path) -> None:
    assert installed_model("m", BUNDLED_SHA256, [tmp_path / "of another host"]) == BUNDLED


def test_a_model_is_found_in_a_place_and_in_a_folder_of_models(tmp_path: Path) -> None:
    digest = another_model(tmp_path / "models" / "second")

    for place in (tmp_path / "models", tmp_path / "models" / "second"):
        assert installed_model("m", digest, [place]) == tmp_path / "models" / "second"


def test_a_folder_with_another_model_is_passed_over(tmp_path: Path) -> None:
    another_model(tmp_path / "model")
    shutil.copytree(BUNDLED, tmp_path / "same")

    assert installed_model("m", BUNDLED_SHA256, [tmp_path]) == tmp_path / "same"


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model m 2 with SHA-256 0000.*found none .*weights"):
        installed_model("m 2", "0" * 64, [tmp_path])
