"""Each group of scanners is left out of a training in turn, and tested on."""

import csv
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.cases.case_list import Split, read_cases
from pipeline.cases.prepared import save
from pipeline.errors import PipelineError
from pipeline.model.loading import Models, load
from pipeline.model.manifest import BUNDLED, ClassifierInput
from pipeline.training.fit import Schedule
from pipeline.training.leave_out.scanners import leave_out_scanners
from pipeline.training.train_classifier import ClassifierTraining
from tests.unit.pipeline.cases.test_prepared import some_case

SMALL = ClassifierInput(rows=32, columns=48, slice_mm=16, window_hu=(-1200, 600), margin_mm=5.0)
TRAINING = ClassifierTraining(
    network="evidence-net", seed=1, wanted=SMALL, schedule=Schedule(steps=1, validate_every=1)
)
SPLITS = ("train", "validation", "train")


def listed(folder: Path, scanners: tuple[str, ...] = ("north", "south")) -> Path:
    """A list: of each scanner three patients of each label, and a test case that has no part."""
    lines = ["path,patient,label,split,scanner"]
    rows = [(label, split, scanner) for scanner in scanners for label in (0, 1) for split in SPLITS]
    for number, (label, split, scanner) in enumerate([*rows, (1, "test", scanners[0])]):
        save(folder / f"{number}.npz", some_case(number, label=label))
        lines.append(f"{number}.npz,p{number},{label},{split},{scanner}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def models() -> Models:
    return load(BUNDLED, torch.device("cpu"))


def test_each_group_is_tested_on_what_the_others_teach(tmp_path: Path) -> None:
    cases, out = listed(tmp_path), tmp_path / "out"
    words = ["train", "classifier", "--cases", str(cases), "--out", str(out), "--steps", "1"]
    small = ["--rows", "32", "--columns", "48", "--slice-mm", "16", "--pairs", "1"]
    command = [*words, *small, "--leave-out", "scanner"]

    done = CliRunner().invoke(app, command)

    assert done.exit_code == 0, done.output
    assert "scanners north: 6 cases of 6 patients (3 positive, 3 negative); AUC" in done.output
    without_north = read_cases(out / "group-1" / "cases.csv")
    assert len(without_north) == 12, "the list's test case has no part"
    assert {case.scanner for case in without_north if case.split is Split.TEST} == {"north"}
    others = [case.split for case in without_north if case.scanner == "south"]
    assert others == [Split.TRAIN, Split.VALIDATION, Split.TRAIN] * 2
    with (out / "left-out.csv").open() as stream:
        records = list(csv.DictReader(stream))
    assert [record["group"] for record in records] == ["north", "south"]
    assert all(record["remark"].startswith("too few to tell: 3 positive") for record in records)
    assert "| north | 6 | 6 | 3 | 3 |" in (out / "left-out.md").read_text()
    assert not list(out.rglob("model"))

    weights = {file: file.stat().st_mtime_ns for file in out.rglob("classifier.safetensors")}
    again = CliRunner().invoke(app, command)

    assert [line for line in again.output.splitlines() if line.startswith("scanners")] == [
        line for line in done.output.splitlines() if line.startswith("scanners")
    ]
    assert len(weights) == 2
    assert {file: file.stat().st_mtime_ns for file in weights} == weights, "nothing trained again"


def test_what_cannot_be_learnt_without_a_group_is_refused_before_anything(tmp_path: Path) -> None:
    cases = listed(tmp_path)
    text = cases.read_text().splitlines()
    cases.write_text("\n".join(line for line in text if ",1,validation,south" not in line))

    with pytest.raises(
        PipelineError, match=r"without the scanners north: .* no positive validation cases"
    ):
        leave_out_scanners([cases], tmp_path / "out", TRAINING, models(), report=print)

    assert not (tmp_path / "out").exists()
