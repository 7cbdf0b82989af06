"""A second model beside the one in use: a node, real associations, a PACS, both networks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from rich.console import Console
from sqlalchemy import select

from config.reader import load
from dicom_node.cli.send import send_folder
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.model.manifest import BUNDLED
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import is_migrated, open_database
from storage.database.sessions import Sessions
from storage.database.watch_tables import ShadowResult
from storage.files.decision_log import read_decisions
from tests.support.node_process import NodeProcess, free_port, ini_text, wait_until
from tests.support.samples.second_model import second_model

pytestmark = [pytest.mark.long, pytest.mark.database, pytest.mark.timeout(900)]

MORE = """
[shadow]
model = second

[selection]
min_slices = 20
"""


def shadows(node: NodeProcess) -> list[ShadowResult]:
    database = open_database(load(node.ini).database_url)
    if not is_migrated(database):
        return []
    with Sessions(database).reading() as session:
        found = list(session.scalars(select(ShadowResult)))
    database.dispose()
    return found


def test_the_second_model_analyses_and_delivers_nothing(tmp_path: Path) -> None:
    second_model(tmp_path / "second")
    for seed in (1, 2):
        spec = PhantomSpec(seed=seed, slices=60, size=256, spacing_mm=5.0, lesions=3)
        write_series(phantom_datasets(make_phantom(spec), seed=seed), tmp_path / f"ct{seed}")
    with StandInPacs(tmp_path / "pacs") as pacs:
        node = NodeProcess(tmp_path, free_port())
        node.ini.write_text(
            ini_text(tmp_path, port=node.port, pacs_port=pacs.port, quiet=2, more=MORE)
        )
        node.start()
        try:
            for seed in (1, 2):
                sent = send_folder(
                    tmp_path / f"ct{seed}", node.peer, calling_ae="CT1", console=Console(quiet=True)
                )
                assert sent.is_whole
            wait_until(lambda: len(shadows(node)) == 2, seconds=600, what="two shadows")
            seen = node.overview()
        finally:
            node.stop()
    objects = [dcmread(path) for path in sorted((tmp_path / "pacs").rglob("*.dcm"))]

    assert [str(line.state) for line in seen.series] == ["delivered", "delivered"]
    assert {str(one.ManufacturerModelName) for one in objects} == {f"dicom-node {BUNDLED.name}"}
    assert len(objects) == sum(sum(line.deliveries.values()) for line in seen.series)
    for row in shadows(node):
        assert row.model == "second 2"
        assert row.score is not None
        assert row.lungs_ml == row.lungs_of_result_ml
        assert row.opacities_of_result_ml is not None
    told = [one.facts for one in read_decisions(tmp_path / "data") if one.what == "shadow"]
    assert [one["model"] for one in told] == ["second 2"]
    shown = subprocess.run(
        [sys.executable, "-m", "dicom_node", "shadow", "--json", "--config", str(node.ini)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["comparison"]["series"] == 2
