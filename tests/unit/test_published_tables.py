"""Tables in docs/tables follow from the scores that are published beside them."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pipeline.decision import bounds
from pipeline.evaluation.localisation.report import comparison
from pipeline.evaluation.localisation.run import Judged, compared
from pipeline.evaluation.localisation.verdict_list import read_verdicts
from pipeline.evaluation.stability import AS_IT_CAME
from pipeline.evaluation.stability_report import read_scores, table
from pipeline.evaluation.strata import PaintedCase, read_painted, tables, write_painted
from pipeline.metrics.delong import auc
from pipeline.model.manifest import BUNDLED, Manifest, parse_manifest, read_manifest
from tests.support.paths import ROOT

TABLES = ROOT / "docs" / "tables"
DATA = TABLES / "data"


def manifest_of(model: str) -> Manifest:
    if model == BUNDLED.name:
        return read_manifest(BUNDLED)[0]
    return parse_manifest((DATA / f"{model}-manifest.json").read_bytes())


@pytest.mark.parametrize(
    ("scores", "model", "page", "mark"),
    [
        ("classifier-seed-16-opacities-2", "opacities-2", "classifier", "seed 16"),
        ("classifier-seed-1", "opacities-1", "opacities-1", "seed 1"),
        ("classifier-seed-2", "opacities-1", "opacities-1", "seed 2"),
        ("classifier-seed-14-opacities-1", "opacities-1", "choice", "opacities-1 seed 14"),
        ("classifier-seed-14-candidate", "candidate", "choice", "candidate seed 14"),
        ("classifier-seed-16-opacities-1", "opacities-1", "choice", "opacities-1 seed 16"),
        ("classifier-seed-23-opacities-2", "opacities-2", "choice", "opacities-2 seed 23"),
        ("classifier-seed-23-candidate-3", "candidate-3", "choice", "candidate-3 seed 23"),
    ],
)
def test_the_classifiers_tables_follow_from_its_scores(
    scores: str, model: str, page: str, mark: str
) -> None:
    made = tables(read_painted(DATA / f"{scores}.csv"), manifest_of(model))

    text = (TABLES / f"{page}.md").read_text(encoding="utf-8")
    assert f"<!-- {mark} -->\n{made}\n<!-- /{mark} -->" in text


@pytest.mark.parametrize(
    ("model", "page"),
    [
        ("opacities-2", "stability.md"),
        ("opacities-1", "stability.md"),
        ("sampling-2", "stability.md"),
        ("candidate", "choice.md"),
        ("candidate-3", "choice.md"),
    ],
)
def test_the_tables_of_stability_follow_from_its_scores(model: str, page: str) -> None:
    made = table(read_scores(DATA / f"stability-{model}.csv"))

    text = (TABLES / page).read_text(encoding="utf-8")
    assert f"<!-- {model} -->\n{made}\n<!-- /{model} -->" in text


def test_table_5_follows_from_its_verdicts() -> None:
    verdicts = read_verdicts(DATA / "localisation-seed-31-opacities-2.csv")
    made = comparison(compared(Judged(verdicts=verdicts, unknown=0)))

    text = (TABLES / "table-5.md").read_text(encoding="utf-8")
    assert f"<!-- seed 31 -->\n{made}<!-- /seed 31 -->" in text


def test_readme_carries_the_figures_of_the_fresh_seed() -> None:
    manifest, _ = read_manifest(BUNDLED)
    chosen = bounds(None, manifest)
    cases = read_painted(DATA / "classifier-seed-16-opacities-2.csv")

    def called(label: int) -> list[int]:
        scores = [one.score for one in cases if one.label == label]
        counts = Counter(
            (score > chosen.threshold) - (score < (chosen.indeterminate_from or 0))
            for score in scores
        )
        return [counts[side] for side in (1, 0, -1)]

    above, between, below = called(1)
    others = called(0)
    area = auc(np.array([bool(one.label) for one in cases]), np.array([one.score for one in cases]))

    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{above} were called *above*, {between} *indeterminate*, {below} *below*" in readme
    assert "negative ones {}, {} and {}".format(*others) in readme
    assert f"ROC AUC {area.value:.2f} (95 % CI {area.low:.2f}–{area.high:.2f}" in readme


def test_every_real_series_is_named_with_its_score() -> None:
    scores = read_scores(DATA / f"stability-{BUNDLED.name}.csv")
    came = {one.case: one.score for one in scores if one.change == AS_IT_CAME}
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    table_of_classifier = (TABLES / "classifier.md").read_text(encoding="utf-8").splitlines()

    for case, score in came.items():
        assert case in readme.lower()
        assert f" {score:.2f}" in readme
        row = next(line for line in table_of_classifier if line.startswith(f"| {case} "))
        assert f"| {score:.3f} |" in row


def test_the_seeds_share_no_phantom() -> None:
    files = ("1", "2", "14-candidate", "16-opacities-2")
    patients = [
        {one.patient for one in read_painted(DATA / f"classifier-seed-{file}.csv")}
        for file in files
    ]
    for first, second in combinations(patients, 2):
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
