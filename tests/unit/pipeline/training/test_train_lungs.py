"""Training of the lungs' UNet: its slices, and the model folder that comes of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from pipeline.cases.case_list import Case, digest_of
from pipeline.errors import PipelineError
from pipeline.model.loading import load
from pipeline.model.manifest import BUNDLED, read_manifest
from pipeline.networks.unet import UNet
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.training.fit import Schedule
from pipeline.training.lung_slices import (
    PIXELS,
    Slices,
    case_slices,
    paint_fluid,
    paint_organ,
    paint_solid_lobe,
)
from pipeline.training.lung_task import LungTask, Pool, with_painted
from pipeline.training.run_folder import RunFolder
from pipeline.training.train_lungs import (
    LungTraining,
    ModelOrigin,
    phantom_seeds,
    started,
    train_lungs,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a healthy phantom, its mask, and a list of both."""
    folder = tmp_path_factory.mktemp("lungs")
    made = make_phantom(PhantomSpec(seed=5, slices=50, size=128, spacing_mm=6.0, lesions=0))
    for name, array in {"ct": made.hu, "lungs": made.lungs}.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([float(made.affine[0, 2]), float(made.affine[1, 1]), 6.0])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    (folder / "cases.csv").write_text("path,patient,lungs\nct.nii.gz,p1,lungs.nii.gz\n")
    return folder


def slices(seed: int = 1) -> Slices:
    rng = np.random.default_rng(seed)
    lungs = np.zeros((6, PIXELS, PIXELS), np.bool_)
    lungs[1:, 60:200, 40:110] = lungs[1:, 60:200, 140:210] = True
    hu = np.where(lungs, -850, 30) + rng.normal(0, 20, lungs.shape)
    return Slices(hu=hu.astype(np.int16), lungs=lungs)


def task(seed: int = 3) -> LungTask:
    torch.manual_seed(1)
    pool = Pool.of(slices())
    return LungTask(
        network=UNet(),
        phantoms=[pool],
        real=[pool],
        held_out=slices(2),
        size=64,
        batch=3,
        seed=seed,
    )


def test_a_step_draws_the_same_each_time() -> None:
    (hu, lungs), (again, _), (other, _) = (task().draw(step) for step in (4, 4, 5))

    assert hu.shape == (3, 1, 64, 64)
    assert lungs.shape == (3, 64, 64)
    assert 0 <= float(hu.min()) <= float(hu.max()) <= 1
    assert torch.equal(hu, again)
    assert not torch.equal(hu, other)


def test_a_few_steps_lower_the_loss() -> None:
    learner = task()
    optimiser = torch.optim.Adam(learner.network.parameters(), 1e-2)
    losses = []
    for step in range(8):
        loss = torch.stack(list(learner.losses(learner.draw(0), step).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_solid_lobe_stays_lung_and_lies_in_one_lung(seed: int) -> None:
    made = slices()
    hu, lungs = made.hu[3].astype(np.float32), made.lungs[3].copy()

    paint_solid_lobe(hu, lungs, np.random.default_rng(seed))

    np.testing.assert_array_equal(lungs, made.lungs[3])
    changed = hu != made.hu[3]
    solid = changed & (hu > -150)
    assert np.count_nonzero(solid) > 300
    assert not (changed & ~lungs).any()
    assert not (changed[:, :125].any() and changed[:, 125:].any())


@pytest.mark.parametrize("seed", range(6))
def test_fluid_lies_behind_a_lung_and_is_no_lung(seed: int) -> None:
    made = slices()
    hu, lungs = made.hu[3].astype(np.float32), made.lungs[3].copy()

    left = paint_fluid(hu, lungs, np.random.default_rng(seed))

    fluid = lungs & ~left
    assert np.count_nonzero(fluid) > 100
    assert -40 < np.median(hu[fluid]) < 60
    assert np.argwhere(fluid)[:, 0].mean() > np.argwhere(left)[:, 0].mean() + 10
    np.testing.assert_array_equal(hu[left], made.hu[3][left])


@pytest.mark.parametrize("seed", range(6))
def test_an_organ_stands_in_one_lung_and_is_no_lung(seed: int) -> None:
    made = slices()
    hu, lungs = made.hu[3].astype(np.float32), made.lungs[3].copy()

    left = paint_organ(hu, lungs, np.random.default_rng(seed))

    organ = lungs & ~left
    assert np.count_nonzero(organ) > 100
    tissue = hu[organ][hu[organ] > -900]  # beside its gas
    assert 0 < np.median(tissue) < 150
    assert not (organ[:, :125].any() and organ[:, 125:].any())
    np.testing.assert_array_equal(hu[~lungs], made.hu[3][~lungs])


def test_nothing_is_painted_where_there_is_no_lung() -> None:
    hu, lungs = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.bool_)

    paint_solid_lobe(hu, lungs, np.random.default_rng(1))

    assert not paint_fluid(hu, lungs, np.random.default_rng(1)).any()
    assert not paint_organ(hu, lungs, np.random.default_rng(1)).any()
    assert not hu.any()


def test_what_is_held_out_has_each_slice_once_more_with_disease() -> None:
    made = slices()

    held_out = with_painted(made, seed=4)

    assert len(held_out.hu) == 2 * len(made.hu)
    np.testing.assert_array_equal(held_out.hu[: len(made.hu)], made.hu)
    assert (held_out.hu[len(made.hu) :] != made.hu).any(axis=(1, 2))[1:].all()
    np.testing.assert_array_equal(with_painted(made, seed=4).hu, held_out.hu)


def test_a_training_begins_with_given_weights_and_says_so(tmp_path: Path) -> None:
    torch.manual_seed(7)
    weights = UNet().state_dict()
    save_file(weights, tmp_path / "unet.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    begun = replace(of_phantoms(1), start=tmp_path / "unet.safetensors")

    network = started(begun.start)

    assert all(torch.equal(network.state_dict()[name], weights[name]) for name in weights)
    assert "start" not in of_phantoms(1).as_settings([], ""), "runs of earlier versions go on"
    assert begun.as_settings([], "")["start"] == digest_of(tmp_path / "unet.safetensors")
    with pytest.raises(PipelineError, match="weights of the UNet expected"):
        started(tmp_path / "other.safetensors")


def test_given_masks_and_pseudo_labels_agree_on_a_healthy_chest(nifti: Path) -> None:
    given = case_slices(Case(path=nifti / "ct.nii.gz", patient="p", lungs=nifti / "lungs.nii.gz"))
    found = case_slices(Case(path=nifti / "ct.nii.gz", patient="p"))

    assert given.hu.shape == given.lungs.shape == (50, PIXELS, PIXELS)
    np.testing.assert_array_equal(given.hu, found.hu)
    assert 2 * (given.lungs & found.lungs).sum() / (given.lungs.sum() + found.lungs.sum()) > 0.95
    assert given.hu[given.lungs].mean() < -700


def trained(lists: list[Path], out: Path, training: LungTraining, words: list[str]) -> Path:
    return train_lungs(
        lists,
        out,
        training,
        origin=ModelOrigin(base=BUNDLED, trained_on=["one phantom"], reproduce="dicom-node train"),
        device=CPU,
        report=lambda step, text: words.append(f"{step} {text}"),
    )


def of_phantoms(count: int) -> LungTraining:
    schedule = Schedule(steps=2, validate_every=1)
    return LungTraining(
        seed=1, schedule=schedule, size=64, batch=2, phantoms=0, held_out_phantoms=count
    )


@pytest.mark.slow
def test_a_model_folder_comes_of_it_with_a_card_of_its_own(nifti: Path, tmp_path: Path) -> None:
    words: list[str] = []

    folder = trained([nifti / "cases.csv"], tmp_path / "run", of_phantoms(1), words)

    assert [line.split()[0] for line in words] == ["1", "2"]
    manifest, bundled = load(folder, CPU).manifest, read_manifest(BUNDLED)[0]
    card = manifest.card
    assert (manifest.name, manifest.version) == ("run", "1")
    assert manifest.created == datetime.now(UTC).date()
    assert manifest.networks.lungs.input.size == 64
    assert manifest.networks.digest != bundled.networks.digest
    assert "lungs: one phantom" in card.trained_on
    assert any(line.startswith("classifier: ") for line in card.trained_on)
    assert not any("slices of 40" in line for line in card.trained_on)
    assert not any("three patients" in line for line in card.limits)
    assert card.reproduce.startswith("dicom-node train;")
    assert "validation Dice" in json.dumps(card.metrics["lungs"])
    assert card.metrics.keys() == {
        "lungs",
        f"of {bundled.name} {bundled.version}, with its own lungs",
    }
    assert all(
        point.source.startswith(f"with the lungs of {bundled.name}")
        for point in manifest.operating_points.values()
    )
    assert manifest.conformal is None
    assert manifest.reference is None

    (folder / "manifest.json").write_text("calibrated since")
    trained([nifti / "cases.csv"], tmp_path / "run", of_phantoms(1), words)

    assert (folder / "manifest.json").read_text() == "calibrated since"


def test_nothing_to_validate_on_is_refused_and_the_folder_stays_free(
    nifti: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    with pytest.raises(PipelineError, match="to judge on expected"):
        trained([nifti / "cases.csv"], run, of_phantoms(0), [])

    assert not run.exists()


def test_a_list_that_has_changed_is_another_run(nifti: Path, tmp_path: Path) -> None:
    cases = nifti / "other.csv"
    cases.write_text("path,patient,lungs\nct.nii.gz,p1,lungs.nii.gz\n")
    settings = {"lists": [digest_of(cases)]}
    RunFolder.open(tmp_path / "run", settings)
    cases.write_text("path,patient,lungs\nct.nii.gz,p2,lungs.nii.gz\n")

    with pytest.raises(PipelineError, match=r"other settings \(.*lists.* differ\)"):
        trained([cases], tmp_path / "run", of_phantoms(1), [])


def test_a_case_that_cannot_be_read_is_named_by_its_row(nifti: Path, tmp_path: Path) -> None:
    (nifti / "SECRET NAME").mkdir(exist_ok=True)
    cases = nifti / "broken.csv"
    cases.write_text("path,patient\nct.nii.gz,p1\nSECRET NAME,p2\n")

    with pytest.raises(PipelineError, match=r"^broken\.csv line 3: ") as fault:
        trained([cases], tmp_path / "run", of_phantoms(1), [])

    assert "SECRET" not in str(fault.value)


@given(seeds=st.tuples(st.integers(0, 200), st.integers(0, 200)), count=st.integers(0, 10_000))
def test_no_phantom_is_trained_and_validated_on(seeds: tuple[int, int], count: int) -> None:
    first, other = seeds
    train = phantom_seeds(first, count, held_out=False)
    held_out = phantom_seeds(other, count, held_out=True)

    assert len(train) == len(held_out) == count
    assert not set(train) & set(held_out)
