"""Equipment that the results name: one installation, one AE title, one model."""

from __future__ import annotations

import json
from pathlib import Path

from config.network import NodeSettings
from config.settings import AnalysisSettings, ResultsSettings, Settings, StorageSettings
from dicom_node.analysis.configuration import analysis_config_of, equipment_of
from pipeline.encode.result.identity import Equipment
from pipeline.model.manifest import BUNDLED, MANIFEST
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation, installation_of


def installed(folder: Path, *, ae_title: str = "AINODE", model: Path = BUNDLED) -> Equipment:
    draw_installation(StorageFolder(folder, 0).root)
    return equipment_of(settings(folder, ae_title=ae_title, model=model))


def settings(folder: Path, *, ae_title: str = "AINODE", model: Path = BUNDLED) -> Settings:
    return Settings(
        node=NodeSettings(ae_title=ae_title),
        storage=StorageSettings(folder=folder),
        analysis=AnalysisSettings(model=model),
    )


def another_model(folder: Path) -> Path:
    folder.mkdir()
    manifest = json.loads((BUNDLED / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "version": "99"}))
    return folder


def test_an_installation_is_drawn_once(tmp_path: Path) -> None:
    assert installation_of(tmp_path) == ""
    first = installed(tmp_path)
    assert installation_of(tmp_path) != ""
    assert installed(tmp_path) == first


def test_no_two_installations_share_a_device(tmp_path: Path) -> None:
    here, there = installed(tmp_path / "here"), installed(tmp_path / "there")
    assert here.device_uid != there.device_uid
    assert here.station_uid != there.station_uid


def test_another_model_or_title_is_another_device_of_the_same_station(tmp_path: Path) -> None:
    model = another_model(tmp_path / "model")
    found = [
        installed(tmp_path),
        installed(tmp_path, ae_title="OTHER"),
        installed(tmp_path, model=model),
    ]
    assert len({each.device_uid for each in found}) == 3
    assert len({each.station_uid for each in found}) == 1


def test_a_site_may_give_its_own_device(tmp_path: Path) -> None:
    own = settings(tmp_path).model_copy(update={"results": ResultsSettings(device_uid="1.2.3")})
    assert equipment_of(own).device_uid == "1.2.3"


def test_own_results_are_told_by_device_and_station(tmp_path: Path) -> None:
    made = installed(tmp_path)
    rules = analysis_config_of(settings(tmp_path)).rules
    assert rules.own_uids == {made.device_uid, made.station_uid}
