"""The authors' checkpoints become a model folder that answers as theirs, and nothing else does."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.model.checkpoints import DECOVNET, UNETS, read_checkpoint
from pipeline.model.import_published import import_checkpoints
from pipeline.model.loading import load
from pipeline.model.manifest import BUNDLED, read_manifest
from tests.support.samples.published_networks import AuthorsClassifier, AuthorsUNet, trained_looking

CPU = torch.device("cpu")
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}


@pytest.fixture
def unet() -> nn.Module:
    return trained_looking(AuthorsUNet(), 1)


@pytest.fixture
def classifier() -> nn.Module:
    network = trained_looking(AuthorsClassifier(), 2)
    nn.init.normal_(network.classifier[1].weight, 0, 5)  # logits that differ between scans
    return network


def wrapped(network: nn.Module) -> dict[str, Tensor]:
    """State of a network as ``DataParallel`` names it."""
    return nn.DataParallel(network).state_dict()


@pytest.fixture
def unet_file(unet: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "unet-Epoch_00110.pth"
    torch.save(wrapped(unet), path)
    return path


@pytest.fixture
def decovnet_file(classifier: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "ncov-Epoch_00140.pth"
    torch.save(wrapped(classifier), path)
    return path


@torch.no_grad()
def test_both_networks_answer_as_the_authors(
    unet: nn.Module, classifier: nn.Module, unet_file: Path, decovnet_file: Path, tmp_path: Path
) -> None:
    import_checkpoints(tmp_path / "model", unet=unet_file, decovnet=decovnet_file)
    models = load(tmp_path / "model", CPU)
    torch.manual_seed(3)
    slices, scans = torch.rand(3, 1, 80, 72), torch.rand(2, 2, 33, 64, 96)

    lungs = torch.cat([unet(one[None]) for one in slices])
    logits = torch.cat([classifier(one[None]) for one in scans])

    torch.testing.assert_close(models.lungs(slices), lungs, **TOLERANCE)
    torch.testing.assert_close(models.classifier(scans), logits, **TOLERANCE)
    assert float(lungs.std()) > 0.05
    assert float((logits[0] - logits[1]).abs().max()) > 0.01


@torch.no_grad()
def test_running_statistics_answer_as_the_authors_network_in_evaluation(
    unet: nn.Module, unet_file: Path, tmp_path: Path
) -> None:
    import_checkpoints(tmp_path / "model", unet=unet_file, base=BUNDLED, statistics="running")
    slices = torch.rand(2, 1, 64, 64)

    found = load(tmp_path / "model", CPU).lungs(slices)

    torch.testing.assert_close(found, unet.eval()(slices), **TOLERANCE)


def test_old_files_plain_names_and_safetensors_are_read_alike(
    unet: nn.Module, unet_file: Path, tmp_path: Path
) -> None:
    expected = read_checkpoint(unet_file, UNETS["running"])
    torch.save(wrapped(unet), tmp_path / "2020.pth", _use_new_zipfile_serialization=False)
    torch.save(unet.state_dict(), tmp_path / "plain.pth")
    save_file(wrapped(unet), tmp_path / "unet.safetensors")

    for name in ("2020.pth", "plain.pth", "unet.safetensors"):
        read = read_checkpoint(tmp_path / name, UNETS["running"])
        assert read.keys() == expected.keys()
        assert all(torch.equal(read[key], expected[key]) for key in expected)


def test_the_folder_says_what_it_is(unet_file: Path, decovnet_file: Path, tmp_path: Path) -> None:
    manifest = import_checkpoints(tmp_path / "model", unet=unet_file, decovnet=decovnet_file)

    assert manifest == read_manifest(tmp_path / "model")[0]
    assert manifest.name == "model"
    assert manifest.networks.lungs.input.size == 368
    assert manifest.networks.lungs.input.window_hu == (-1200, 600)
    seen = manifest.networks.classifier.input
    assert (seen.rows, seen.columns, seen.slice_mm, seen.margin_mm) == (224, 336, 1, 0)
    assert manifest.calibration.temperature == 1
    assert manifest.operating_points["default"].threshold == 0.5
    assert "not calibrated here" in manifest.operating_points["default"].source
    assert any("CC BY-NC-SA 4.0" in line for line in manifest.card.limits)
    assert any("not known" in line for line in manifest.card.trained_on)
    assert hashlib.sha256(unet_file.read_bytes()).hexdigest() in manifest.card.reproduce


def test_a_base_gives_the_other_network_and_the_classifier_its_calibration(
    unet_file: Path, decovnet_file: Path, tmp_path: Path
) -> None:
    base = read_manifest(BUNDLED)[0]

    lungs = import_checkpoints(tmp_path / "lungs", unet=unet_file, base=BUNDLED)
    scores = import_checkpoints(tmp_path / "scores", decovnet=decovnet_file, base=BUNDLED)

    assert lungs.networks.classifier.sha256 == base.networks.classifier.sha256
    assert lungs.operating_points == base.operating_points
    assert lungs.calibration == base.calibration
    assert scores.networks.lungs.sha256 == base.networks.lungs.sha256
    assert scores.operating_points["default"].threshold == 0.5
    assert scores.calibration.temperature == 1
    theirs = {line for line in base.card.trained_on if line.startswith("lungs:")}
    assert theirs <= set(scores.card.trained_on)
    assert not theirs & set(lungs.card.trained_on)


def test_dead_stages_may_hold_anything(classifier: nn.Module, tmp_path: Path) -> None:
    state = wrapped(classifier)
    state["module.s5.pathway0_res0.branch1.weight"] = torch.full((3,), torch.nan)
    torch.save(state, tmp_path / "odd.pth")

    read = read_checkpoint(tmp_path / "odd.pth", DECOVNET)

    assert sum(value.numel() for value in read.values()) == 346_978


def test_every_fault_is_listed_and_nothing_is_written(
    classifier: nn.Module, unet_file: Path, tmp_path: Path
) -> None:
    state = wrapped(classifier)
    stem = state.pop("module.s1.pathway0_stem.conv.weight")
    state["module.s6.extra"] = torch.zeros(1)
    state["module.head.1.bias"] = torch.zeros(65)
    state["module.head.4.bias"] = torch.zeros(32, dtype=torch.float16)
    state["module.head.8.bias"] = torch.full((32,), torch.inf)
    state["module.s2.pathway0_res0.branch1_bn.running_var"] = torch.full((64,), torch.nan)
    state["module.classifier.1.bias"] = "two"
    state["module.classifier.0.bias"] = torch.zeros(32).to_sparse()
    torch.save(state, tmp_path / "bad.pth")

    with pytest.raises(ModelError) as caught:
        import_checkpoints(tmp_path / "model", unet=unet_file, decovnet=tmp_path / "bad.pth")

    assert stem.shape == (16, 2, 5, 7, 7)
    for fault in (
        "missing s1.pathway0_stem.conv.weight",
        "surplus s6.extra",
        "head.1.bias is (65,) float32, expected (64,) float32",
        "head.4.bias is (32,) float16, expected (32,) float32",
        "head.8.bias has values that are not finite",
        "s2.pathway0_res0.branch1_bn.running_var has values that are not finite",
        "classifier.1.bias is a str, expected (2,) float32",
        "classifier.0.bias is a sparse_coo tensor, expected (32,) float32",
    ):
        assert fault in str(caught.value)
    assert not (tmp_path / "model").exists()


class Malicious:
    """A pickle that makes a file when it is executed."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.mkdir, (str(self.trace), 0o700)


@pytest.mark.parametrize("new", [True, False])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, new: bool) -> None:
    trace, path = tmp_path / "executed", tmp_path / "evil.pth"
    torch.save({"module.inc": Malicious(trace)}, path, _use_new_zipfile_serialization=new)

    with pytest.raises(ModelError, match=r"evil\.pth: .* asks for posix\.mkdir; it was not exec"):
        import_checkpoints(tmp_path / "model", unet=path, base=BUNDLED)

    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the pickle would have done no harm anyway: this test shows nothing"


def test_a_plain_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    trace, path = tmp_path / "executed", tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(Malicious(trace)))

    with pytest.raises(ModelError, match=r"evil\.pkl: expected tensors alone"):
        read_checkpoint(path, DECOVNET)

    assert not trace.exists()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.03, 0.5, 0.95])
def test_files_cut_short_give_a_sentence(
    unet: nn.Module,
    tmp_path: Path,
    kept: float,
    new: bool,
) -> None:
    path = tmp_path / "cut.pth"
    torch.save(unet.state_dict(), path, _use_new_zipfile_serialization=new)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    with pytest.raises(ModelError, match="got a file that is broken, cut short or of another"):
        read_checkpoint(path, UNETS["slice"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.pth", bytes(range(256)) * 4),
        ("text.pth", b"not a checkpoint\n"),
        ("noise.safetensors", bytes(range(256))),
    ],
)
def test_files_of_another_kind_give_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ModelError, match=f"{name}: expected tensors alone"):
        read_checkpoint(tmp_path / name, UNETS["slice"])


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([torch.zeros(1)], "expected tensors by their names, got a list"),
        ({}, "got nothing"),
        ({1: torch.zeros(1)}, "expected tensors by their names"),
        ({"state_dict": {}, "epoch": 3}, "got state_dict and 1 more"),
    ],
)
def test_other_contents_give_a_sentence(tmp_path: Path, held: object, message: str) -> None:
    torch.save(held, tmp_path / "other.pth")

    with pytest.raises(ModelError, match=message):
        read_checkpoint(tmp_path / "other.pth", DECOVNET)


def test_one_network_in_place_of_the_other_gives_a_sentence(
    unet_file: Path, decovnet_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"expected the authors' UNet .*, got s1\.pathway0_stem"):
        import_checkpoints(tmp_path / "model", unet=decovnet_file, decovnet=unet_file)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "got none"),
        ({"unet": Path("a")}, "as base, .* only the checkpoint of the lungs"),
        ({"unet": Path("a"), "decovnet": Path("b"), "base": BUNDLED}, "got all three"),
        ({"unet": Path("nowhere"), "base": BUNDLED}, "a readable file nowhere"),
    ],
)
def test_a_choice_that_makes_no_model_is_refused(
    tmp_path: Path, given: dict[str, Path], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        import_checkpoints(tmp_path / "model", **given)


def test_a_folder_in_use_is_left_alone(unet_file: Path, tmp_path: Path) -> None:
    before = json.dumps(sorted(path.name for path in tmp_path.iterdir()))

    with pytest.raises(ModelError, match="expected a new or empty folder"):
        import_checkpoints(tmp_path, unet=unet_file, base=BUNDLED)

    assert json.dumps(sorted(path.name for path in tmp_path.iterdir())) == before
