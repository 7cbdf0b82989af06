"""A worker shows that it can do the work of this node, or says why not."""

import gc
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from config.settings import AnalysisSettings, EngineSettings, Settings, StorageSettings
from dicom_node.analysis.engine.worker_proof import Requirements, prove
from dicom_node.analysis.fetch.access import FETCH_FOLDER
from dicom_node.analysis.worker.models import MODELS, folder_of
from dicom_node.analysis.worker.series_task import with_own_software
from dicom_node.assembly.engine import requirements_of
from dicom_node.errors import NodeError, UnfitWorker
from pipeline.encode.conformance import iod
from pipeline.encode.result.kinds import TRANSFER_SYNTAXES
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation


@pytest.fixture
def required(tmp_path: Path) -> Requirements:
    draw_installation(StorageFolder(tmp_path / "data", 0).root)
    shutil.copytree(BUNDLED, tmp_path / "model")
    return requirements_of(
        Settings(
            storage=StorageSettings(folder=tmp_path / "data"),
            analysis=AnalysisSettings(model=tmp_path / "model", device="cpu", threads=1),
        )
    )


def test_a_worker_of_this_installation_is_fit(required: Requirements) -> None:
    prove(required)


def test_a_fit_worker_has_read_what_its_first_series_needs(required: Requirements) -> None:
    iod.requirements.cache_clear()

    prove(required)

    before = iod.requirements.cache_info().misses
    for sop_class in TRANSFER_SYNTAXES:
        iod.requirements(sop_class)
    assert iod.requirements.cache_info().misses == before


def test_a_fit_worker_collects_garbage_seldom(required: Requirements) -> None:
    usual = gc.get_threshold()
    try:
        prove(required)

        assert gc.get_threshold()[0] > 100 * 700
    finally:
        gc.set_threshold(*usual)


def test_another_version_is_unfit(required: Requirements) -> None:
    with pytest.raises(UnfitWorker, match=r"expected dicom-node 9\.9, it has"):
        prove(replace(required, software="9.9"))


def test_a_worker_that_does_not_see_the_files_is_unfit(
    required: Requirements, tmp_path: Path
) -> None:
    with pytest.raises(UnfitWorker, match="does not see the storage folder"):
        prove(replace(required, storage=tmp_path / "not mounted"))


def test_a_worker_that_sees_copies_of_a_bucket_must_fetch_all_the_same(
    required: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bucket = Settings(
        storage=StorageSettings(folder=tmp_path / "data", objects="s3://bucket"),
        engine=EngineSettings(scheduler="tls://host:8786"),
        analysis=AnalysisSettings(model=tmp_path / "model", device="cpu", threads=1),
    )
    with pytest.raises(UnfitWorker, match=r"expected an \[engine\] fetch_folder, got none"):
        prove(requirements_of(with_bucket))
    monkeypatch.setenv(FETCH_FOLDER, str(tmp_path / "fetched"))
    prove(requirements_of(with_bucket))


def test_a_worker_that_fetches_need_not_see_them(
    required: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FETCH_FOLDER, str(tmp_path / "fetched"))
    prove(replace(required, storage=tmp_path / "not mounted"))
    assert (tmp_path / "fetched").is_dir()

    (tmp_path / "fetched").chmod(0o755)
    with pytest.raises(NodeError, match="fetch_folder: expected one of this user alone"):
        prove(required)


def test_a_worker_without_the_model_is_unfit(required: Requirements) -> None:
    model = replace(required.config.model, sha256="0" * 64)
    with pytest.raises(ModelError, match="found none of that digest"):
        prove(replace(required, config=replace(required.config, model=model)))


def test_damaged_weights_are_unfit(required: Requirements, tmp_path: Path) -> None:
    for weights in (tmp_path / "model").glob("*.safetensors"):
        weights.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="expected SHA-256"):
        prove(required)


def test_a_worker_finds_the_model_where_its_environment_says(
    required: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(required.config.model, folder=tmp_path / "of another host")
    (tmp_path / "model").rename(tmp_path / "own")
    manifest = tmp_path / "own" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    changed = replace(elsewhere, sha256=_digest(manifest))
    with pytest.raises(ModelError):
        folder_of(changed)

    monkeypatch.setenv(MODELS, str(tmp_path / "own"))

    assert folder_of(changed) == tmp_path / "own"


def _digest(manifest: Path) -> str:
    return sha256(manifest.read_bytes()).hexdigest()


def test_results_state_the_software_of_the_worker(required: Requirements) -> None:
    config = required.config
    of_node = replace(
        config, equipment=replace(config.equipment, software_versions="0.0.9 model 1")
    )
    assert with_own_software(of_node) == with_own_software(config) == config
