"""The paper's recipe: one whole scan a step, Adam at a constant rate, labels alone."""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from dicom_node.cli.research.train import Precision
from pipeline.cases.prepared import save
from pipeline.errors import PipelineError
from pipeline.model.manifest import ClassifierInput
from pipeline.networks.decovnet import DeCoVNet
from pipeline.training.classifier_task import Files, WithAuxHead
from pipeline.training.fit import Schedule
from pipeline.training.paper import PaperTask, paper_picture, paper_schedule
from pipeline.training.run_folder import CHECKPOINT
from tests.unit.pipeline.cases.test_prepared import some_case

WINDOW = (-1200.0, 600.0)
SMALL = ClassifierInput(rows=32, columns=48, slice_mm=16, window_hu=WINDOW, margin_mm=5.0)


@pytest.fixture
def task(tmp_path: Path) -> PaperTask:
    paths = [tmp_path / f"{number}.npz" for number in range(4)]
    for number, path in enumerate(paths):
        save(path, some_case(number, label=number % 2))
    torch.manual_seed(1)
    return PaperTask(
        network=WithAuxHead(DeCoVNet()),
        files=Files(positive=paths[1::2], negative=paths[::2], validation=paths),
        wanted=SMALL,
        seed=9,
        masks=False,
    )


def test_a_case_of_another_sampling_is_not_drawn(task: PaperTask) -> None:
    for path in task.files.negative:
        save(path, replace(some_case(), sampling=2))

    task.draw(1)
    with pytest.raises(PipelineError, match="with sampling 1 expected, got sampling 2"):
        task.draw(0)


def test_the_schedule_is_the_papers() -> None:
    schedule = paper_schedule()

    assert schedule.steps == 49_900
    assert {schedule.rate(step) for step in (0, 1, 25_000, 49_899)} == {1e-5}
    assert (schedule.weight_decay, schedule.average) == (0.0, 0.0)
    assert schedule.as_settings()["constant"] is True
    assert "constant" not in Schedule(steps=3).as_settings(), "runs of earlier versions go on"


def test_without_weight_decay_a_step_is_adams() -> None:
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    for parameter, optimiser in (
        (ours, torch.optim.AdamW([ours], lr=1e-5, weight_decay=paper_schedule().weight_decay)),
        (theirs, torch.optim.Adam([theirs], lr=1e-5)),
    ):
        (parameter**3).sum().backward()
        optimiser.step()
    assert torch.equal(ours, theirs)


def test_each_step_draws_one_whole_scan_and_labels_take_turns(task: PaperTask) -> None:
    first, again, following = (task.draw(step) for step in (4, 4, 5))

    assert [batch.labels.tolist() for batch in (first, following)] == [[0], [1]]
    length_mm = some_case(0, label=0).size_mm[0]
    assert first.pictures.shape == (1, 2, round(length_mm / 16) + 1, 32, 48)
    assert torch.equal(first.pictures, again.pictures)


def test_the_loss_is_the_plain_cross_entropy_of_the_label(task: PaperTask) -> None:
    task.network.eval()
    batch = task.draw(1)

    losses = task.losses(batch, 1)

    expected = functional.cross_entropy(task.network(batch.pictures)[0], batch.labels)
    assert set(losses) == {"score"}
    assert torch.equal(losses["score"], expected)


def test_views_are_of_8_bits_dark_beyond_the_box_and_changed_alike_in_all_slices() -> None:
    case = some_case(3, label=1)
    shape = (8, 64, 96)
    found = [paper_picture(case, shape, WINDOW, np.random.default_rng(n)) for n in range(12)]

    for picture in found:
        grey, lungs = picture.channels
        np.testing.assert_allclose(grey * 255, np.rint(grey * 255), atol=1e-3)
        assert set(np.unique(lungs)) <= {0.0, 1.0}
    assert len({round(float(picture.channels[0].mean()), 3) for picture in found}) > 6
    assert any((picture.channels[0][:, 0, 0] == 0).all() for picture in found)
    areas = [picture.lungs.sum() for picture in found]
    assert 0.5 < min(areas) / max(areas) < 0.95, "scaled by up to a fifth either way"


def test_mixed_precision_is_for_gpus_unless_asked_for() -> None:
    assert [Precision.auto.on(device) for device in ("cuda", "cpu")] == ["bf16", "fp32"]
    assert Precision.bf16.on("cpu") == "bf16"


def command(cases: Path, out: Path) -> list[str]:
    size = ["--rows", "32", "--columns", "48", "--slice-mm", "16"]
    steps = ["--steps", "6", "--judge-every", "2", "--device", "cpu"]
    module = [sys.executable, "-m", "dicom_node", "train", "paper"]
    return [*module, "--cases", str(cases), "--out", str(out), *size, *steps]


@pytest.mark.long
def test_the_command_makes_a_model_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    rows = ["path,patient,label,split"]
    for number in range(8):
        label, split = number % 2, "train" if number < 4 else "validation"
        save(tmp_path / f"{number}.npz", some_case(number, label=label))
        rows.append(f"{number}.npz,p{number},{label},{split}")
    cases, whole, cut = tmp_path / "cases.csv", tmp_path / "whole", tmp_path / "cut"
    cases.write_text("\n".join(rows) + "\n")
    subprocess.run(command(cases, whole), check=True, capture_output=True)
    (whole / "test-unscored.txt").write_text("cases.csv line 9: no lungs\n")
    again = subprocess.run(command(cases, whole), check=True, capture_output=True, text=True)
    assert "test-unscored.txt" in again.stdout

    process = subprocess.Popen(
        command(cases, cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    looks = threading.Event()
    while not (cut / CHECKPOINT).exists() and process.poll() is None:
        looks.wait(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "classifier.safetensors").exists(), "killed too late to prove anything"
    subprocess.run(command(cases, cut), check=True, capture_output=True)

    expected, got = (load_file(run / "classifier.safetensors") for run in (whole, cut))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    settings = json.loads((whole / "settings.json").read_text())
    assert (settings["recipe"], settings["masks"]) == ("paper", False)
    manifest = json.loads((whole / "model" / "manifest.json").read_text())
    assert manifest["networks"]["classifier"]["architecture"] == "decovnet"
