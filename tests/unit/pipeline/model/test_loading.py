"""The model folder: what is loaded is what the manifest says, or nothing is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import ModelError
from pipeline.model.feature_reference import Reference, to_bytes
from pipeline.model.loading import device_for, load, write_network
from pipeline.model.manifest import read_manifest
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.networks.unet import UNet

CPU = torch.device("cpu")
WINDOW = [-1200, 600]
LUNGS = {
    "architecture": "unet-2d",
    "file": "lungs.safetensors",
    "parameters": 839_506,
    "input": {"size": 256, "window_hu": WINDOW},
}
CLASSIFIER = {
    "architecture": "decovnet",
    "file": "classifier.safetensors",
    "parameters": 346_978,
    "input": {
        "rows": 224,
        "columns": 336,
        "slice_mm": 1.0,
        "window_hu": WINDOW,
        "margin_mm": 5.0,
    },
}
HEAD = {
    "name": "test-1",
    "version": "0.1.0",
    "created": "2026-11-22",
    "networks": {},
    "calibration": {"temperature": 1.25},
    "operating_points": {"default": {"threshold": 0.5, "from": "nowhere"}},
    "card": {
        "trained_on": ["noise"],
        "intended_use": "tests",
        "not_for": [],
        "limits": [],
        "metrics": {},
        "reproduce": "pytest",
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    (tmp_path / "manifest.json").write_text(json.dumps(HEAD))
    write_network(tmp_path, "lungs", UNet().state_dict(), LUNGS)
    write_network(tmp_path, "classifier", DeCoVNet().state_dict(), CLASSIFIER)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def replace_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Alter the tensors and the digest alike, as somebody who means it would."""
    path = folder / "lungs.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder, lambda manifest: manifest["networks"]["lungs"].update(sha256=digest))


def test_what_was_written_is_loaded(folder: Path) -> None:
    written = load_file(folder / "lungs.safetensors")

    models = load(folder, CPU)

    assert not models.lungs.training
    assert not models.classifier.training
    assert all(torch.equal(value, written[key]) for key, value in models.lungs.state_dict().items())
    assert models.manifest.networks.lungs.input.size == 256
    assert models.manifest.networks.classifier.input.window_hu == (-1200, 600)
    assert models.manifest.calibration.temperature == 1.25
    assert models.manifest.operating_points["default"].source == "nowhere"


def test_the_digest_of_the_model_is_that_of_its_manifest(folder: Path) -> None:
    before = load(folder, CPU).weights_sha256

    edit(folder, lambda manifest: manifest["calibration"].update(temperature=2.0))

    assert before != load(folder, CPU).weights_sha256
    assert load(folder, CPU).weights_sha256 == (
        hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    )


def test_one_altered_byte_is_refused(folder: Path) -> None:
    path = folder / "lungs.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(
        ModelError, match=r"lungs\.safetensors: expected SHA-256 \w{64}, got \w{64}"
    ):
        load(folder, CPU)


def test_a_file_that_is_not_safetensors_is_refused(folder: Path) -> None:
    (folder / "lungs.safetensors").write_bytes(b"\x80\x04pickle?")
    digest = hashlib.sha256(b"\x80\x04pickle?").hexdigest()
    edit(folder, lambda manifest: manifest["networks"]["lungs"].update(sha256=digest))

    with pytest.raises(ModelError, match="expected a safetensors file"):
        load(folder, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("out.bias"), "missing out.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "surplus extra"),
        (
            lambda state: state.update({"out.bias": torch.zeros(3)}),
            r"out.bias is \(3,\) float32, expected \(2,\) float32",
        ),
        (
            lambda state: state.update({"out.bias": torch.zeros(2, dtype=torch.float16)}),
            r"out.bias is \(2,\) float16, expected \(2,\) float32",
        ),
    ],
)
def test_other_tensors_are_refused_by_name(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    replace_tensors(folder, change)

    with pytest.raises(ModelError, match=message):
        load(folder, CPU)


def test_another_number_of_parameters_is_refused(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["networks"]["lungs"].update(parameters=1))

    with pytest.raises(ModelError, match="has 839506 parameters, the manifest says 1"):
        load(folder, CPU)


@pytest.mark.parametrize(
    "missing", ["manifest.json", "lungs.safetensors", "classifier.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    with pytest.raises(ModelError, match=missing):
        load(folder, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["networks"]["lungs"].update(architecture="decovnet"),
            "networks.lungs.architecture: Input should be 'unet-2d' .*, got 'decovnet'",
        ),
        (lambda m: m["networks"].pop("classifier"), "networks.classifier: Field required"),
        (
            lambda m: m["networks"]["lungs"].update(file="../lungs.safetensors"),
            "networks.lungs.file: String should match",
        ),
        (lambda m: m["networks"]["lungs"]["input"].update(size=250), "networks.lungs.input.size"),
        (
            lambda m: m["networks"]["lungs"]["input"].update(window_hu=[600, -1200]),
            "expected lower bound < upper bound",
        ),
        (lambda m: m["calibration"].update(temperature=0), "calibration.temperature"),
        (
            lambda m: m["operating_points"].update(default={"threshold": 1.5, "from": "x"}),
            "operating_points.default.threshold: .*, got 1.5",
        ),
        (lambda m: m["operating_points"].pop("default"), "a point named 'default'"),
        (lambda m: m.update(surprise=1), "surprise: Extra inputs are not permitted"),
        (lambda m: m["card"].update(trained_on=[]), "card.trained_on"),
        (lambda m: m.update(conformal={"levels": []}), "conformal.levels: Tuple should have"),
        (lambda m: m.update(acquisition={"noise_hu": [9, 1]}), "acquisition.noise_hu: .*< upper"),
        (lambda m: m.update(acquisition={"colour": [1, 9]}), "acquisition.colour.*: Input should"),
    ],
)
def test_a_faulty_manifest_is_refused_with_the_place(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder, change)

    with pytest.raises(ModelError, match=message):
        read_manifest(folder)[0]


def test_every_fault_of_a_manifest_is_listed(folder: Path) -> None:
    edit(folder, lambda m: m.update(version="", calibration={"temperature": -1}))

    with pytest.raises(ModelError, match=r"version: .*; calibration\.temperature: "):
        read_manifest(folder)[0]


def test_a_manifest_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")

    with pytest.raises(ModelError, match="Invalid JSON"):
        read_manifest(folder)[0]


def test_writing_one_network_keeps_the_other(folder: Path) -> None:
    before = read_manifest(folder)[0]

    write_network(folder, "lungs", UNet().state_dict(), LUNGS)

    after = read_manifest(folder)[0]
    assert after.networks.classifier == before.networks.classifier
    assert after.networks.lungs.sha256 != before.networks.lungs.sha256


def add_reference(folder: Path) -> None:
    data = to_bytes(Reference(means=np.zeros((2, 128)), precision=np.eye(128)))
    (folder / "reference.safetensors").write_bytes(data)
    entry = {
        "file": "reference.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "cases": 200,
        "quantile": 0.99,
        "limit": 13.5,
        "from": "a test",
    }
    level = {"coverage": 0.9, "negative_at_most": 0.6, "positive_at_least": 0.4}
    sets = {"levels": [level], "negatives": 100, "positives": 100, "from": "a test"}
    edit(folder, lambda manifest: manifest.update(reference=entry, conformal=sets))


def test_a_model_may_know_its_kind_of_cases(folder: Path) -> None:
    assert load(folder, CPU).reference is None
    add_reference(folder)

    models = load(folder, CPU)

    assert models.reference is not None
    assert models.reference.means.shape == (2, 128)
    assert models.manifest.reference is not None
    assert models.manifest.reference.limit == 13.5
    assert models.manifest.conformal is not None
    assert models.manifest.conformal.levels[0].positive_at_least == 0.4


def test_an_altered_reference_is_refused(folder: Path) -> None:
    add_reference(folder)
    (folder / "reference.safetensors").write_bytes(b"something else")

    with pytest.raises(ModelError, match=r"reference\.safetensors: expected SHA-256"):
        load(folder, CPU)


@pytest.mark.parametrize(("network", "kept"), [("lungs", True), ("classifier", False)])
def test_a_new_classifier_voids_what_was_found_out_about_the_old(
    folder: Path, network: str, *, kept: bool
) -> None:
    add_reference(folder)
    made = {"lungs": (UNet(), LUNGS), "classifier": (DeCoVNet(), CLASSIFIER)}[network]

    write_network(folder, network, made[0].state_dict(), made[1])

    manifest = read_manifest(folder)[0]
    assert (manifest.reference is not None) == (manifest.conformal is not None) == kept


def test_the_classifier_may_be_the_second_network(folder: Path) -> None:
    network = EvidenceNet()
    count = sum(parameter.numel() for parameter in network.parameters())
    entry = {**CLASSIFIER, "architecture": "evidence-net", "parameters": count}

    write_network(folder, "classifier", network.state_dict(), entry)

    assert isinstance(load(folder, CPU).classifier, EvidenceNet)


def test_the_cpu_is_always_there() -> None:
    assert device_for("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_cuda_device_auto_is_the_cpu_and_cuda_is_refused() -> None:
    assert device_for("auto").type == "cpu"
    with pytest.raises(ModelError, match="expected a CUDA device"):
        device_for("cuda")
