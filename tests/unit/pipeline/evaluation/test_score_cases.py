"""Scoring a list of cases: as the node scores, in steps that are kept, and nothing in silence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.analyse import analyse
from pipeline.cases.case_list import Case, read_cases
from pipeline.decision import bounds
from pipeline.errors import PipelineError
from pipeline.evaluation.score_cases import score_cases
from pipeline.metrics.scores import Origin, read_origin, read_scores, table
from pipeline.model.loading import Models, load
from pipeline.model.manifest import BUNDLED
from pipeline.options import AnalysisOptions
from pipeline.series.volume import assemble

cli = CliRunner()


@pytest.fixture(scope="module")
def models() -> Models:
    return load(BUNDLED, torch.device("cpu"))


def case(path: Path, patient: str = "a", label: int = 1) -> Case:
    path.mkdir(exist_ok=True)
    return Case(path=path, patient=patient, label=label)


def keep(file: Path, cases: list[Case], origin: Origin) -> None:
    """Scores that an earlier run left."""
    rows = [
        (scored.patient, int(scored.label or 0), (number + 1) / (len(cases) + 1), scored.path)
        for number, scored in enumerate(cases)
    ]
    file.write_text(table(rows, origin))


def origin_of(models: Models) -> Origin:
    manifest = models.manifest
    return Origin(weights=manifest.networks.digest, temperature=manifest.calibration.temperature)


def test_a_case_has_the_score_that_the_node_gives_it(
    chest: Path, models: Models, tmp_path: Path
) -> None:
    series = assemble([dcmread(path) for path in sorted(chest.glob("*.dcm"))])
    analysis = analyse(series, models, AnalysisOptions(), lambda *_: None)
    counts: list[int] = []

    done = score_cases([case(chest)], models, tmp_path / "scores.csv", counts.append)

    expected = pytest.approx(analysis.classification.score, abs=1e-5)
    assert done.scores == {chest.resolve(): expected}
    assert read_scores(tmp_path / "scores.csv").scores.tolist() == list(done.scores.values())
    assert read_origin(tmp_path / "scores.csv") == origin_of(models)
    assert counts == [0, 1]


def test_what_is_done_is_not_done_again_and_a_failure_stops_nothing(
    models: Models, tmp_path: Path
) -> None:
    earlier, broken = case(tmp_path / "earlier"), case(tmp_path / "broken", "b", 0)
    other = case(tmp_path / "other", "c", 0)
    file = tmp_path / "scores.csv"
    keep(file, [earlier, case(tmp_path / "no more listed"), other], origin_of(models))

    done = score_cases([earlier, broken, other], models, file, lambda _: None)

    assert done.scores.keys() == {earlier.path.resolve(), other.path.resolve()}
    assert done.failures.keys() == {broken.path.resolve()}
    assert read_scores(file).patients == ("a", "c")
    assert "DICOM files expected" in done.failures[broken.path.resolve()]


@pytest.mark.parametrize("change", [{"weights": "0" * 64}, {"temperature": 9.0}])
def test_scores_of_another_model_are_not_mixed_in(
    models: Models, tmp_path: Path, change: dict[str, Any]
) -> None:
    earlier = case(tmp_path / "earlier")
    keep(tmp_path / "scores.csv", [earlier], replace(origin_of(models), **change))

    with pytest.raises(PipelineError, match="expected scores of this model at its temperature"):
        score_cases([earlier], models, tmp_path / "scores.csv", lambda _: None)


def test_the_command_counts_the_cases_without_a_score(models: Models, tmp_path: Path) -> None:
    listed = tmp_path / "cases.csv"
    rows = ["path,patient,label"]
    for number in range(6):
        (tmp_path / f"ct-{number}").mkdir()
        rows.append(f"ct-{number},p{number},{number % 2}")
    listed.write_text("\n".join(rows))
    out = tmp_path / "out"
    out.mkdir()
    keep(out / "scores.csv", list(read_cases(listed)[:5]), origin_of(models))

    answer = cli.invoke(app, ["evaluate", "--cases", str(listed), "--out", str(out)])

    assert answer.exit_code == 0, answer.output
    assert "5 of 6 cases scored" in answer.output
    told = json.loads((out / "metrics.json").read_text())
    assert told["cases"] == 5
    assert [case["case"] for case in told["unscored"]] == ["cases.csv line 7"]
    assert told["chosen"]["threshold"] == bounds(None, models.manifest).threshold
    page = (out / "report.html").read_text()
    assert "1 further case has no score" in page
    assert models.manifest.name in page
