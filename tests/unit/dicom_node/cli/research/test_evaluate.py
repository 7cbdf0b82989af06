"""`dicom-node evaluate` and `dicom-node calibrate`, as they are typed."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import NodeError
from pipeline.cases.case_list import read_cases
from pipeline.evaluation.calibration.temperature import rescaled
from pipeline.evaluation.report_plots import PLOTS
from pipeline.metrics.scores import Origin, read_scores, table
from pipeline.model.manifest import BUNDLED, read_manifest

cli = CliRunner()


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of 120 cases of 60 patients whose names must not be shown."""
    rng = np.random.default_rng(1)
    labels = np.arange(120) // 2 % 3 == 0
    values = 1 / (1 + np.exp(-rng.normal(np.where(labels, 1.5, -1.5), 1.2)))
    rows = [f"SECRET-{i // 2},{labels[i]:d},{values[i]:.6f}" for i in range(120)]
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    path.write_text("\n".join(["patient,label,score", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def report(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a report on them."""
    out = tmp_path_factory.mktemp("report")
    options = ["--threshold", "0.4", "--prevalence", "0.02", "--prevalence", "0.3"]
    answer = cli.invoke(app, ["evaluate", "--scores", str(scores), "--out", str(out), *options])
    assert answer.exit_code == 0, answer.output
    assert "ROC AUC (DeLong)" in answer.output
    return out


def test_figures_are_written_for_machines(report: Path) -> None:
    told = json.loads((report / "metrics.json").read_text())

    assert (told["cases"], told["patients"], told["positives"]) == (120, 60, 40)
    assert told["chosen"]["threshold"] == 0.4
    counts = [told["chosen"][key] for key in ("true_positives", "false_negatives")]
    assert sum(counts) == 40
    assert told["chosen"]["sensitivity"]["value"] == counts[0] / 40
    assert {row["prevalence"] for row in told["predictive_values"]} == {0.02, 0.3}
    assert {point["name"] for point in told["points"]} == {
        "youden",
        "sensitivity-95",
        "specificity-95",
    }
    assert told["auc"]["low"] < told["auc"]["value"] < told["auc"]["high"]


def test_page_needs_no_other_file_and_names_nobody(report: Path) -> None:
    text = (report / "report.html").read_text()

    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "SECRET" not in text
    assert "For research use only" in text
    for name in PLOTS:
        assert base64.b64encode((report / f"{name}.png").read_bytes()).decode() in text


def test_page_says_the_figures(report: Path) -> None:
    told = json.loads((report / "metrics.json").read_text())
    text = (report / "report.html").read_text()

    for share in ("sensitivity", "specificity", "ppv", "npv"):
        value = told["chosen"][share]
        assert f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" in text
    assert "120 cases of 60 patients: 40 positive and 80 negative" in text
    assert "Some patients have several cases" in text


def test_text_from_outside_is_escaped(scores: Path, tmp_path: Path) -> None:
    odd = tmp_path / "<b>.csv"
    odd.write_bytes(scores.read_bytes())

    answer = cli.invoke(app, ["evaluate", "--scores", str(odd), "--out", str(tmp_path / "out")])

    assert answer.exit_code == 0, answer.output
    assert "Scores of &lt;b&gt;.csv" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --scores, or --cases"),
        (["--scores", "a.csv", "--cases", "b.csv"], "either --scores, or --cases"),
        (["--scores", "a.csv", "--split", "test"], "either --scores, or --cases"),
        (["--scores", "a.csv", "--model", "nowhere"], "found none in nowhere"),
        (["--scores", "a.csv", "--prevalence", "1"], "every --prevalence between 0 and 1"),
        (["--scores", "nowhere.csv"], "readable file nowhere.csv"),
    ],
)
def test_wrong_options_end_with_a_sentence(
    tmp_path: Path, options: list[str], message: str
) -> None:
    answer = cli.invoke(app, ["evaluate", "--out", str(tmp_path / "out"), *options])

    assert message in str(answer.exception)


def test_one_class_alone_cannot_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("patient,label,score\na,1,0.5\nb,1,0.6\nc,0,0.1\n")

    answer = cli.invoke(app, ["evaluate", "--scores", str(path), "--out", str(tmp_path)])

    assert isinstance(answer.exception, NodeError)
    assert "2 positive and 2 negative cases, got 2 and 1" in str(answer.exception)


def test_perfect_scores_are_reported_without_slope(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("patient,label,score\na,1,1\nb,1,0.6\nc,0,0\nd,0,0.2\n")

    answer = cli.invoke(app, ["evaluate", "--scores", str(path), "--out", str(tmp_path)])

    assert answer.exit_code == 0, answer.output
    assert (
        "nothing can be said of the uncertainty of the AUC"
        in (tmp_path / "report.html").read_text()
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["reliability"]["slope"] is None


def marked(scores: Path, to: Path, *, temperature: float = 1.0, weights: str = "") -> Path:
    """The scores as if the bundled weights (or others) had given them at a temperature."""
    cases = read_scores(scores)
    values = rescaled(cases.scores, temperature)
    origin = Origin(
        weights=weights or read_manifest(BUNDLED)[0].networks.digest, temperature=temperature
    )
    rows = zip(cases.patients, cases.labels.tolist(), values.tolist(), strict=True)
    file = to / f"marked-{temperature}.csv"
    file.write_text(table(((who, int(ill), score, to) for who, ill, score in rows), origin))
    return file


def test_the_same_scores_calibrate_alike_at_any_temperature_and_again(
    scores: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    found = []
    for temperature in (1.0, 2.5, 1.0):
        file = marked(scores, tmp_path, temperature=temperature)
        command = ["calibrate", str(model), "--scores", str(file), "--point", "specificity-95"]
        answer = cli.invoke(app, command)
        assert answer.exit_code == 0, answer.output
        found.append(read_manifest(model)[0].calibration.temperature)

    assert found[1:] == pytest.approx(found[:1] * 2, rel=1e-3)
    assert "default: specificity-95" in answer.output
    points = read_manifest(model)[0].operating_points
    assert points["default"] == points["specificity-95"]
    assert "on the cases that chose it: 120 cases of 60 patients" in points["default"].source


def test_a_temperature_at_its_bound_is_said(tmp_path: Path) -> None:
    model = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    (tmp_path / "s.csv").write_text("patient,label,score\na,1,.9\nb,1,.8\nc,0,.2\nd,0,.1\n")

    answer = cli.invoke(
        app, ["calibrate", str(model), "--scores", str(marked(tmp_path / "s.csv", tmp_path))]
    )

    assert "The temperature is at its bound" in answer.output
    assert "at its bound" in str(read_manifest(model)[0].card.metrics["calibration"])


@pytest.mark.parametrize("command", ["calibrate", "evaluate"])
def test_scores_of_another_model_or_of_nobody_are_refused(
    scores: Path, tmp_path: Path, command: str
) -> None:
    model = Path(shutil.copytree(BUNDLED, tmp_path / "model"))
    before = (model / "manifest.json").read_bytes()
    where = {
        "calibrate": ["calibrate", str(model)],
        "evaluate": ["evaluate", "--model", str(model), "--out", str(tmp_path / "out")],
    }[command]
    others = marked(scores, tmp_path, weights="0" * 64)

    of_other = cli.invoke(app, [*where, "--scores", str(others)])
    of_nobody = cli.invoke(app, [*where, "--scores", str(scores)])

    assert "got another's" in str(of_other.exception)
    assert "the columns weights and temperature expected" in str(of_nobody.exception)
    assert (model / "manifest.json").read_bytes() == before


def test_scores_of_a_run_are_judged_as_the_model_calls_them(scores: Path, tmp_path: Path) -> None:
    manifest = read_manifest(BUNDLED)[0]
    options = ["--model", "bundled", "--out", str(tmp_path / "out")]

    answer = cli.invoke(app, ["evaluate", "--scores", str(marked(scores, tmp_path)), *options])

    assert answer.exit_code == 0, answer.output
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert manifest.conformal is not None
    assert told["chosen"]["threshold"] == manifest.conformal.levels[0].indeterminate[1]
    for row in (
        "positive cases above",
        "negative cases indeterminate from",
        "negative cases below",
    ):
        assert row in answer.output
    calibrated = rescaled(read_scores(scores).scores, manifest.calibration.temperature)
    assert told["reliability"]["mean_score"] == pytest.approx(calibrated.mean())


def listed(folder: Path, splits: list[str]) -> Path:
    """A list of cases whose scores an earlier run left in ``out/scores.csv``."""
    lines = ["path,patient,label,split"]
    for number, split in enumerate(splits):
        (folder / f"ct-{number}").mkdir()
        lines.append(f"ct-{number},p{number},{number % 2},{split}")
    file = folder / "cases.csv"
    file.write_text("\n".join(lines))
    manifest = read_manifest(BUNDLED)[0]
    origin = Origin(weights=manifest.networks.digest, temperature=manifest.calibration.temperature)
    rows = [
        (case.patient, int(case.label or 0), (number + 1) / (len(splits) + 1), case.path)
        for number, case in enumerate(read_cases(file))
    ]
    (folder / "out").mkdir()
    (folder / "out" / "scores.csv").write_text(table(rows, origin))
    return file


@pytest.mark.parametrize(
    ("splits", "option", "said"),
    [
        (["test"] * 4 + ["train"] * 6, [], "4 test cases of the 10 cases of cases.csv"),
        (["test"] * 4 + ["train"] * 6, ["--split", "train"], "6 train cases of the 10"),
        (["test"] * 4 + ["train"] * 6, ["--split", "all"], "10 cases of cases.csv (all, whatever"),
        ([""] * 10, [], "10 cases of cases.csv (the list names no split)"),
    ],
)
def test_test_cases_are_judged_unless_others_are_asked_for(
    tmp_path: Path, splits: list[str], option: list[str], said: str
) -> None:
    file, out = listed(tmp_path, splits), tmp_path / "out"

    answer = cli.invoke(app, ["evaluate", "--cases", str(file), "--out", str(out), *option])

    assert answer.exit_code == 0, answer.output
    assert said in answer.output
    assert said in json.loads((out / "metrics.json").read_text())["source"]
    assert json.loads((out / "metrics.json").read_text())["cases"] == int(said.partition(" ")[0])


def test_a_split_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = listed(tmp_path, ["train", "train"])

    answer = cli.invoke(app, ["evaluate", "--cases", str(file), "--out", str(tmp_path / "out")])

    assert "expected cases of split 'test', got none" in str(answer.exception)


def test_without_the_extra_a_sentence_says_how_to_get_it(scores: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from dicom_node.cli.app import main\n"
        f"sys.argv = ['dicom-node', 'evaluate', '--scores', {str(scores)!r}, "
        f"'--out', {str(tmp_path / 'out')!r}]\n"
        "main()"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert answer.returncode == 1
    assert "pip install dicom-node[training]" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_figures_come_by_scanner_where_cases_name_one(scores: Path, tmp_path: Path) -> None:
    header, *rows = scores.read_text().splitlines()
    named = [f"{row},{'north' if number < 60 else ''}" for number, row in enumerate(rows)]
    file = tmp_path / "scores.csv"
    file.write_text("\n".join([f"{header},scanner", *named]))

    answer = cli.invoke(app, ["evaluate", "--scores", str(file), "--out", str(tmp_path / "out")])

    assert answer.exit_code == 0, answer.output
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())["by_scanner"]
    assert [(group["group"], group["cases"]) for group in told] == [
        ("north", 60),
        ("not named", 60),
    ]
    assert told[0]["sensitivity"]["total"] == 20
    assert "north" in answer.output
    assert "<h2>By scanner</h2>" in (tmp_path / "out" / "report.html").read_text()
    records = (tmp_path / "out" / "by-scanner.csv").read_text().splitlines()
    assert records[1].startswith("north,60,30,20,40,0.5,")


def test_a_list_of_cases_names_scanners_too(tmp_path: Path) -> None:
    file, out = listed(tmp_path, [""] * 10), tmp_path / "out"
    header, *rows = file.read_text().splitlines()
    named = [f"{row},{'north' if number < 4 else 'south'}" for number, row in enumerate(rows)]
    file.write_text("\n".join([f"{header},scanner", *named]))

    answer = cli.invoke(app, ["evaluate", "--cases", str(file), "--out", str(out)])

    assert answer.exit_code == 0, answer.output
    told = json.loads((out / "metrics.json").read_text())["by_scanner"]
    assert [(group["group"], group["positives"]) for group in told] == [("north", 2), ("south", 3)]
    assert "too few to tell: 2 positive, 2 negative" in answer.output


def test_without_scanners_there_is_no_table_of_them(report: Path) -> None:
    assert json.loads((report / "metrics.json").read_text())["by_scanner"] == []
    assert not (report / "by-scanner.csv").exists()
    assert "By scanner" not in (report / "report.html").read_text()
