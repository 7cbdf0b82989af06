"""The UNet's training: what it is shown, and the model folder that comes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
import torch

from pipeline.errors import PipelineError
from pipeline.manifest import BUNDLED
from pipeline.models import load
from pipeline.networks.unet import UNet
from pipeline.training.cases import Case
from pipeline.training.fit import Schedule
from pipeline.training.lung_lesson import LungLesson, Pool
from pipeline.training.lung_slices import PIXELS, Slices, case_slices
from pipeline.training.phantom import PhantomSpec, make_phantom
from pipeline.training.train_lungs import LungTraining, Origin, train_lungs

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


def lesson(seed: int = 3) -> LungLesson:
    torch.manual_seed(1)
    pool = Pool.of(slices())
    return LungLesson(
        network=UNet(),
        phantoms=[pool],
        real=[pool],
        held_out=slices(2),
        size=64,
        batch=3,
        seed=seed,
    )


def test_a_step_draws_the_same_each_time() -> None:
    (hu, lungs), (again, _), (other, _) = (lesson().draw(step) for step in (4, 4, 5))

    assert hu.shape == (3, 1, 64, 64)
    assert lungs.shape == (3, 64, 64)
    assert 0 <= float(hu.min()) <= float(hu.max()) <= 1
    assert torch.equal(hu, again)
    assert not torch.equal(hu, other)


def test_a_few_steps_lower_the_loss() -> None:
    taught = lesson()
    optimiser = torch.optim.Adam(taught.network.parameters(), 1e-2)
    losses = []
    for step in range(8):
        loss = torch.stack(list(taught.losses(taught.draw(0), step).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.7 * losses[0]


def test_given_masks_and_pseudo_labels_agree_on_a_healthy_chest(nifti: Path) -> None:
    given = case_slices(Case(path=nifti / "ct.nii.gz", patient="p", lungs=nifti / "lungs.nii.gz"))
    found = case_slices(Case(path=nifti / "ct.nii.gz", patient="p"))

    assert given.hu.shape == given.lungs.shape == (50, PIXELS, PIXELS)
    np.testing.assert_array_equal(given.hu, found.hu)
    assert 2 * (given.lungs & found.lungs).sum() / (given.lungs.sum() + found.lungs.sum()) > 0.95
    assert given.hu[given.lungs].mean() < -700


@pytest.mark.slow
def test_a_model_folder_comes_of_it(nifti: Path, tmp_path: Path) -> None:
    training = LungTraining(
        seed=1,
        schedule=Schedule(steps=2, judge_every=1),
        size=64,
        batch=2,
        phantoms=0,
        held_out_phantoms=1,
    )
    words: list[str] = []

    folder = train_lungs(
        [nifti / "cases.csv"],
        tmp_path / "run",
        training,
        origin=Origin(base=BUNDLED, trained_on=["one phantom"]),
        device=CPU,
        report=lambda step, text: words.append(f"{step} {text}"),
    )

    models = load(folder, CPU)
    assert models.manifest.networks.lungs.input.size == 64
    assert "lungs: one phantom" in models.manifest.card.trained_on
    assert any(line.startswith("classifier: ") for line in models.manifest.card.trained_on)
    assert not any("slices of 40" in line for line in models.manifest.card.trained_on)
    assert "validation Dice" in json.dumps(models.manifest.card.metrics["lungs"])
    assert [line.split()[0] for line in words] == ["1", "2"]


def test_nothing_to_judge_on_is_refused(nifti: Path, tmp_path: Path) -> None:
    training = LungTraining(
        seed=1, schedule=Schedule(steps=1), phantoms=0, held_out_phantoms=0, size=64
    )

    with pytest.raises(PipelineError, match="to judge on expected"):
        train_lungs(
            [nifti / "cases.csv"],
            tmp_path / "run",
            training,
            origin=Origin(base=BUNDLED, trained_on=[]),
            device=CPU,
            report=lambda step, text: None,
        )


def test_a_list_that_has_changed_is_another_run(nifti: Path, tmp_path: Path) -> None:
    training = LungTraining(
        seed=1, schedule=Schedule(steps=1), phantoms=0, held_out_phantoms=0, size=64
    )
    cases = nifti / "other.csv"

    def begin(text: str, said: str) -> None:
        cases.write_text(text)
        with pytest.raises(PipelineError, match=said):
            train_lungs(
                [cases],
                tmp_path / "run",
                training,
                origin=Origin(base=BUNDLED, trained_on=[]),
                device=CPU,
                report=lambda step, text: None,
            )

    begin("path,patient,lungs\nct.nii.gz,p1,lungs.nii.gz\n", "to judge on expected")
    begin("path,patient,lungs\nct.nii.gz,p2,lungs.nii.gz\n", r"other settings \(lists differ\)")
