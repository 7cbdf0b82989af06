"""``dicom-node model`` as it is typed."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED, parse_manifest
from tests.support.samples.published_networks import AuthorsClassifier, AuthorsUNet

cli = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the model that comes with the package."""
    shutil.copytree(BUNDLED, tmp_path / "models" / "copy")
    return tmp_path / "models" / "copy"


def change_classifier(folder: Path, change: Callable[[Tensor], Tensor]) -> str:
    """Change all weights of the classifier and make the manifest promise it; name the first."""
    path = folder / "classifier.safetensors"
    state = load_file(path)
    weights = [name for name, value in state.items() if value.is_floating_point()]
    save_file(state | {name: change(state[name]) for name in weights}, path)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["networks"]["classifier"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return min(weights)


def test_import_then_verify_then_show(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(torch.nn.DataParallel(AuthorsUNet()).state_dict(), tmp_path / "u.pth")
    torch.save(torch.nn.DataParallel(AuthorsClassifier()).state_dict(), tmp_path / "d.pth")
    made = str(tmp_path / "authors")

    files = ["--unet", str(tmp_path / "u.pth"), "--decovnet", str(tmp_path / "d.pth")]
    imported = cli.invoke(app, ["model", "import", *files, "--out", made])
    verified = cli.invoke(app, ["model", "verify", made])
    shown = cli.invoke(app, ["model", "show", made])

    assert imported.exit_code == 0, imported.output
    assert verified.exit_code == 0, verified.output
    assert verified.output.count("in order") == 2
    assert "unet-2d-slicewise, 74 tensors, 839,506 parameters" in verified.output
    for said in ("CC BY-NC-SA 4.0", "not known", "0.5000", "not calibrated here", "ppv"):
        assert said in shown.output


def test_import_with_a_base_and_running_statistics(tmp_path: Path) -> None:
    torch.save(AuthorsUNet().state_dict(), tmp_path / "u.pth")
    made = tmp_path / "mixed"

    files = ["--unet", str(tmp_path / "u.pth"), "--base", "bundled", "--out", str(made)]
    answer = cli.invoke(app, ["model", "import", *files, "--unet-statistics", "running", "--json"])

    assert answer.exit_code == 0, answer.output
    manifest = parse_manifest((made / "manifest.json").read_bytes())
    assert manifest.networks.lungs.architecture == "unet-2d"
    facts = {"folder": str(made), "name": manifest.name, "version": manifest.version}
    assert json.loads(answer.stdout) == facts


def test_the_whole_card_is_shown() -> None:
    manifest = parse_manifest((BUNDLED / "manifest.json").read_bytes())

    shown = " ".join(cli.invoke(app, ["model", "show", "bundled"]).output.split())

    card = manifest.card
    for line in (*card.trained_on, *card.limits, *card.not_for, card.intended_use):
        assert line.split("; ")[0][:60] in shown
    for name in (*manifest.operating_points, *card.metrics):
        assert name.replace("_", " ") in shown
    assert "not a diagnosis" in shown
    assert manifest.conformal is not None
    assert manifest.reference is not None
    for level in manifest.conformal.levels:
        kept = level.measured_negative
        assert kept is not None
        assert f"{level.coverage:.0%} {level.negative_at_most:.4f}" in shown
        assert f"{kept.count}/{kept.cases}" in shown
    assert f"beyond a distance of {manifest.reference.limit:.1f}" in shown


def test_corrections_stand_near_the_top_of_the_card(folder: Path) -> None:
    (folder / "errata.json").write_text('[{"date": "2026-01-02", "text": "It is otherwise."}]')

    shown = cli.invoke(app, ["model", "show", str(folder)]).output

    assert "Corrections" in shown
    assert "2026-01-02: It is otherwise." in shown
    assert shown.index("It is otherwise.") < shown.index("Trained on")


def test_a_card_without_corrections_has_no_section_of_them(folder: Path) -> None:
    (folder / "errata.json").unlink()

    assert "Corrections" not in cli.invoke(app, ["model", "show", str(folder)]).output


def test_faulty_corrections_are_named(folder: Path) -> None:
    (folder / "errata.json").write_text("{}")

    answer = cli.invoke(app, ["model", "show", str(folder)])

    assert isinstance(answer.exception, ModelError)
    assert "errata.json is not as expected" in str(answer.exception)


def test_the_card_is_shown_without_torch() -> None:
    code = (
        "import sys; from dicom_node.cli.app import app;"
        " app(['model', 'show'], standalone_mode=False); print('torch' in sys.modules)"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_found(folder: Path, value: float) -> None:
    first = change_classifier(folder, lambda tensor: torch.full_like(tensor, value))

    answer = cli.invoke(app, ["model", "verify", str(folder)])

    assert isinstance(answer.exception, ModelError)
    assert f"expected finite weights, got others in {first}, " in str(answer.exception)


def test_answers_that_are_not_finite_are_found(folder: Path) -> None:
    change_classifier(folder, lambda tensor: tensor * 1e30)  # each finite, their products not

    answer = cli.invoke(app, ["model", "verify", str(folder)])

    assert isinstance(answer.exception, ModelError)
    assert "expected finite answers" in str(answer.exception)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("calibration.temperature", 1e6, "temperature: 0.05 to 20 expected, got 1e+06"),
        ("created", "2999-01-01", "created: "),
        ("networks.classifier.input.slice_mm", 400.0, "slice_mm: 0.3 to 20 expected, got 400"),
        ("card.metrics.lungs", {"dice on 3 cases": [0.9, 97.1]}, "dice on 3 cases: 0 to 1"),
        ("reference.flagged.count", 900, "reference, flagged: a share within its interval"),
        ("conformal.levels.1.positive_at_least", 0.9, "got narrower ones"),
    ],
)
def test_figures_that_cannot_be_true_are_found(
    folder: Path, entry: str, value: object, said: str
) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    *parents, last = entry.split(".")
    place = manifest
    for name in parents:
        place = place[int(name) if isinstance(place, list) else name]
    place[last] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))

    answer = cli.invoke(app, ["model", "verify", str(folder)])

    assert isinstance(answer.exception, ModelError)
    assert said in str(answer.exception)


def test_altered_weights_are_found(folder: Path) -> None:
    data = bytearray((folder / "lungs.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "lungs.safetensors").write_bytes(data)

    answer = cli.invoke(app, ["model", "verify", str(folder)])

    assert isinstance(answer.exception, ModelError)
    assert "lungs.safetensors: expected SHA-256" in str(answer.exception)


def test_list_finds_models_in_folders_and_shows_faulty_ones(folder: Path) -> None:
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "manifest.json").write_text("{}")
    (folder.parent / "something else").mkdir()

    answer = cli.invoke(
        app, ["model", "list", str(folder.parent), str(folder)], env={"COLUMNS": "400"}
    )

    assert answer.exit_code == 0, answer.output
    bundled = parse_manifest((BUNDLED / "manifest.json").read_bytes())
    assert answer.output.count(f"{bundled.name} {bundled.version}") == 3
    assert "bundled" in answer.output
    assert bundled.conformal is not None
    level = bundled.conformal.levels[0]
    assert f"{level.positive_at_least:.3f} to {level.negative_at_most:.3f}" in answer.output
    assert "faulty" in answer.output
    assert "something else" not in answer.output
