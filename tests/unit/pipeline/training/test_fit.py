"""The training loop: best weights, early stopping, and resumed runs that end as unbroken ones."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.cases.prepared import save
from pipeline.errors import PipelineError
from pipeline.training.fit import GOAL, Schedule, _begin, fit
from pipeline.training.run_folder import CHECKPOINT, CURVES, RunFolder
from tests.unit.pipeline.cases.test_prepared import some_case

SHORT = Schedule(steps=12, validate_every=3, peak_rate=0.05)


class LineTask:
    """Learn a line through noisy points, with dropout, so that random numbers matter."""

    def __init__(self, goals: list[float] | None = None) -> None:
        torch.manual_seed(1)
        self.network: nn.Module = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 1))
        self.goals = goals
        self.validations = 0

    def draw(self, step: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng(step).random((8, 4), dtype=np.float32))

    def losses(self, batch: Tensor, step: int) -> Mapping[str, Tensor]:
        del step
        return {"square": (self.network(batch)[:, 0] - batch.sum(dim=1)).square().mean()}

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        self.validations += 1
        if self.goals is not None:
            return {GOAL: self.goals[self.validations - 1]}
        with torch.no_grad():
            error = network(torch.ones(1, 4)).item() - 4
        return {GOAL: -abs(error)}


class Stopped(Exception):
    """A run that is cut short."""


def run(folder: Path, task: LineTask, schedule: Schedule, *, stop_at: int = 0) -> nn.Module:
    def report(step: int, _: str) -> None:
        if step == stop_at:
            raise Stopped

    fit(task, schedule, RunFolder.open(folder, {"seed": 5}), seed=5, report=report)
    return task.network


@pytest.mark.parametrize("stop_at", [2, 3, 7, 11])
def test_a_stopped_run_ends_as_an_unbroken_one(tmp_path: Path, stop_at: int) -> None:
    whole = run(tmp_path / "whole", LineTask(), SHORT).state_dict()

    with pytest.raises(Stopped):
        run(tmp_path / "cut", LineTask(), SHORT, stop_at=stop_at)
    resumed = run(tmp_path / "cut", LineTask(), SHORT).state_dict()

    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    histories = [(tmp_path / name / "history.json").read_text() for name in ("whole", "cut")]
    assert histories[0] == histories[1]


def test_the_best_validated_weights_are_kept(tmp_path: Path) -> None:
    best_of_two = run(
        tmp_path / "a", LineTask([0.5, 0.9]), Schedule(steps=6, validate_every=3, peak_rate=0.05)
    )
    longer = run(
        tmp_path / "b",
        LineTask([0.5, 0.9, 0.1, 0.2]),
        Schedule(steps=12, validate_every=3, peak_rate=0.05),
    )

    metrics = json.loads((tmp_path / "b" / "metrics.json").read_text())
    assert metrics["best_step"] == 6
    assert (tmp_path / "b" / CURVES).read_bytes().startswith(b"\x89PNG")
    assert best_of_two.state_dict().keys() == longer.state_dict().keys()
    assert not longer.training


def test_a_run_without_gain_ends_early(tmp_path: Path) -> None:
    task = LineTask([0.5, 0.4, 0.3, 0.9])

    run(tmp_path, task, Schedule(steps=12, validate_every=3, patience=2))

    assert task.validations == 3
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 9


def test_a_run_that_ended_early_does_not_go_on_when_it_is_resumed(tmp_path: Path) -> None:
    early = Schedule(steps=12, validate_every=3, patience=2, peak_rate=0.05)
    first = run(tmp_path, LineTask([0.5, 0.4, 0.3, 0.9]), early).state_dict()

    task = LineTask([0.9])
    again = run(tmp_path, task, early).state_dict()

    assert task.validations == 0
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 9


def test_settings_have_the_names_that_run_folders_have_had() -> None:
    settings = SHORT.as_settings()

    assert list(settings) == [
        "steps",
        "judge_every",
        "patience",
        "peak_rate",
        "warm_up",
        "weight_decay",
        "largest_gradient",
        "average",
        "precision",
        "workers",
    ]
    assert settings["judge_every"] == SHORT.validate_every


def test_mixed_precision_lays_the_weights_out_for_it_and_changes_no_number() -> None:
    task = LineTask()
    task.network = nn.Sequential(
        nn.Conv3d(2, 3, 2),
        nn.Flatten(),
        nn.Linear(3, 1),
        nn.Unflatten(1, (1, 1, 1)),
        nn.Conv2d(1, 2, 1),
    )
    before = {name: value.clone() for name, value in task.network.state_dict().items()}

    _begin(task, replace(SHORT, precision="bf16"))

    after = task.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert after["0.weight"].is_contiguous(memory_format=torch.channels_last_3d)
    assert not after["0.weight"].is_contiguous()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", b"something else"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(damage)

    with pytest.raises(PipelineError, match=r"checkpoint\.pt: a checkpoint of a run expected"):
        RunFolder(path=tmp_path).saved()


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
def test_half_a_checkpoint_is_named(tmp_path: Path, keep: float) -> None:
    run(tmp_path, LineTask(), SHORT)
    data = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(data[: int(keep * len(data))])

    with pytest.raises(PipelineError, match="a checkpoint of a run expected"):
        run(tmp_path, LineTask(), SHORT)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path, LineTask(), SHORT)
    other = LineTask()
    other.network = nn.Linear(3, 1)

    with pytest.raises(PipelineError, match="a checkpoint of this network expected"):
        run(tmp_path, other, SHORT)


def test_settings_that_cannot_be_read_and_files_in_the_way_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"seed": ')
    with pytest.raises(PipelineError, match=r"settings\.json: the settings of a run expected"):
        RunFolder.open(tmp_path, {"seed": 1})

    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="a folder for the run expected, got a file"):
        RunFolder.open(tmp_path / "file", {"seed": 1})


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, {"seed": 1, "steps": 3})

    with pytest.raises(PipelineError, match=r"other settings \(seed, size differ\)"):
        RunFolder.open(tmp_path, {"seed": 2, "steps": 3, "size": 4})


def test_a_checkpoint_is_not_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]  # what pickle runs

    torch.save({"step": Bomb()}, tmp_path / CHECKPOINT)

    with pytest.raises(PipelineError, match="a checkpoint of a run expected"):
        RunFolder(path=tmp_path).saved()
    assert not (tmp_path / "exploded").exists()


def test_the_rate_rises_then_falls() -> None:
    schedule = Schedule(steps=100, peak_rate=1.0, warm_up=0.1)
    rates = [schedule.rate(step) for step in range(100)]

    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 10
    assert rates[0] < 0.1
    assert rates[-1] < 0.02


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    rows = ["path,patient,label,split"]
    for number in range(8):
        label, split = number % 2, "train" if number < 4 else "validation"
        save(tmp_path / "data" / f"{number}.npz", some_case(number, label=label))
        rows.append(f"{number}.npz,p{number},{label},{split}")
    (tmp_path / "data" / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data" / "cases.csv"


def train_command(cases: Path, out: Path) -> list[str]:
    size = ["--rows", "32", "--columns", "48", "--slice-mm", "16"]
    steps = ["--steps", "9", "--judge-every", "3", "--pairs", "1"]
    module = [sys.executable, "-m", "dicom_node", "train", "classifier"]
    return [*module, "--cases", str(cases), "--out", str(out), *size, *steps, "--device", "cpu"]


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(cases: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(train_command(cases, whole), check=True, capture_output=True)

    process = subprocess.Popen(
        train_command(cases, cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    looks = threading.Event()
    while not (cut / CHECKPOINT).exists() and process.poll() is None:
        looks.wait(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "classifier.safetensors").exists(), "killed too late to prove anything"
    subprocess.run(train_command(cases, cut), check=True, capture_output=True)

    expected = load_file(whole / "classifier.safetensors")
    got = load_file(cut / "classifier.safetensors")
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
