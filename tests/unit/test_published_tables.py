"""Tables in docs/tables follow from the scores that are published beside them."""

import json
from pathlib import Path

import pytest

from pipeline.evaluation.stability_report import read_scores, table
from pipeline.evaluation.strata import PaintedCase, read_painted, tables, write_painted
from pipeline.model.manifest import BUNDLED, read_manifest
from tests.support.paths import ROOT

TABLES = ROOT / "docs" / "tables"
DATA = TABLES / "data"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_classifiers_tables_follow_from_its_scores(seed: int) -> None:
    manifest, _ = read_manifest(BUNDLED)
    cases = read_painted(DATA / f"classifier-seed-{seed}.csv")

    made = tables(cases, manifest)

    text = (TABLES / "classifier.md").read_text(encoding="utf-8")
    assert f"<!-- seed {seed} -->\n{made}\n<!-- /seed {seed} -->" in text


@pytest.mark.parametrize("model", ["opacities-1", "sampling-2"])
def test_the_tables_of_stability_follow_from_its_scores(model: str) -> None:
    made = table(read_scores(DATA / f"stability-{model}.csv"))

    text = (TABLES / "stability.md").read_text(encoding="utf-8")
    assert f"<!-- {model} -->\n{made}\n<!-- /{model} -->" in text


def test_the_seeds_share_no_phantom() -> None:
    first, second = (
        {one.patient for one in read_painted(DATA / f"classifier-seed-{seed}.csv")}
        for seed in (1, 2)
    )
    assert first & second == {"tumour-01"}


def test_every_file_of_data_has_its_command() -> None:
    commands = json.loads((DATA / "commands.json").read_text(encoding="utf-8"))
    published = {file.name for file in DATA.iterdir()} - {"commands.json"}
    assert published == set(commands)
    for entry in commands.values():
        assert entry["commands"]
        assert (ROOT / entry["tables"]).exists()


def test_painted_cases_are_read_as_they_were_written(tmp_path: Path) -> None:
    cases = (
        PaintedCase(patient="a", case="a-1", label=1, kind="ground-glass", opaque=0.2, score=0.7),
        PaintedCase(patient="a", case="a-2", label=0, kind="healthy", opaque=0.0, score=0.25),
    )
    write_painted(tmp_path / "cases.csv", cases)
    assert read_painted(tmp_path / "cases.csv") == cases
