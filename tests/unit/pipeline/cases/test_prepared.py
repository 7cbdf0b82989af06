"""Prepared cases: written and read whole; made of DICOM and of NIfTI on the same anatomy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)

from pipeline.cases import prepared
from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import prepared_input
from pipeline.cases.prepared import Prepared
from pipeline.cases.slice_labels import UNKNOWN
from pipeline.cases.volumes import read_mask, read_volume
from pipeline.errors import PipelineError
from pipeline.model.loading import device_for, load
from pipeline.model.manifest import BUNDLED, ClassifierInput
from pipeline.synthetic.disease.canvases import phantom_canvas
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.training.augment import random_pictures
from pipeline.training.classifier_task import infected_cells

SHAPE = (12, 20, 30)


def some_case(seed: int = 1, *, label: int = 1) -> Prepared:
    rng = np.random.default_rng(seed)
    lungs = rng.random(SHAPE) < 0.5
    return Prepared(
        hu=rng.integers(-1024, 400, SHAPE).astype(np.int16),
        lungs=lungs,
        lesions=lungs & (rng.random(SHAPE) < 0.1) & bool(label),
        lesions_known=True,
        size_mm=(200.0, 180.0, 260.0),
        label=label,
        kind="ground-glass",
    )


def test_a_prepared_case_is_read_as_it_was_written(tmp_path: Path) -> None:
    case = some_case()

    prepared.save(tmp_path / "new" / "case.npz", case)
    again = prepared.load(tmp_path / "new" / "case.npz")

    for name in ("hu", "lungs", "lesions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(case, name))
    assert (again.size_mm, again.label, again.kind) == (case.size_mm, 1, "ground-glass")
    assert again.lesions_known


def test_labels_of_slices_are_read_as_they_were_written(tmp_path: Path) -> None:
    infected = np.arange(SHAPE[0], dtype=np.int8) % 3 - 1
    prepared.save(tmp_path / "case.npz", replace(some_case(), infected=infected))

    np.testing.assert_array_equal(prepared.load(tmp_path / "case.npz").infected, infected)


@pytest.mark.parametrize("content", [b"", b"PK no zip", b"\x93NUMPY"])
def test_what_is_no_prepared_case_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "case.npz").write_bytes(content)

    with pytest.raises(PipelineError, match="a prepared case expected"):
        prepared.load(tmp_path / "case.npz")


SMALL = ClassifierInput(rows=42, columns=56, slice_mm=12.0, window_hu=(-1200, 600), margin_mm=5.0)


def test_the_stored_grid_is_a_little_finer_than_the_networks() -> None:
    wanted = ClassifierInput(
        rows=224, columns=336, slice_mm=1.0, window_hu=(-1200, 600), margin_mm=5.0
    )

    assert prepared.stored_shape(wanted) == (288, 256, 384)


def test_for_averages_the_surroundings_of_the_lungs_are_stored_as_well(nifti: Path) -> None:
    """Pictures of square pixels reach beyond the box, and must not see its edge there."""
    volume = read_volume(nifti / "ct.nii.gz")
    lungs = read_mask(nifti / "lungs.nii.gz", volume) > 0
    averages = SMALL.model_copy(update={"sampling": 2, "pixel_mm": 4.0})

    tight, wide = (
        prepared.StoredGrid.around(lungs, volume.spacing_mm, wanted) for wanted in (SMALL, averages)
    )

    assert all(a >= b for a, b in zip(tight.low, wide.low, strict=True))
    assert wide.size_mm[2] > tight.size_mm[2] + prepared.SURROUNDINGS_MM
    mean = float(volume.hu[prepared.box(wide.low, wide.high)].mean())
    assert wide.of(volume.hu).mean() == pytest.approx(mean, abs=15)


@pytest.fixture(scope="module")
def nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a phantom as NIfTI in an unusual orientation, and the masks beside it."""
    folder = tmp_path_factory.mktemp("nifti")
    made = make_phantom(PhantomSpec(seed=3, slices=40, size=128, spacing_mm=7.5, lesions=2))
    arrays = {"ct": made.hu, "lungs": made.lungs, "lesions": made.lesions}
    for name, array in arrays.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([float(made.affine[0, 2]), float(made.affine[1, 1]), 7.5])
        image.SetOrigin(made.affine[:3, 3].tolist())
        sitk.WriteImage(sitk.DICOMOrient(image, "RAS"), str(folder / f"{name}.nii.gz"))
    return folder


def test_nifti_of_any_orientation_becomes_canonical(nifti: Path) -> None:
    made = make_phantom(PhantomSpec(seed=3, slices=40, size=128, spacing_mm=7.5, lesions=2))

    volume = read_volume(nifti / "ct.nii.gz")

    np.testing.assert_array_equal(volume.hu, made.hu)
    np.testing.assert_allclose(volume.affine, made.affine, atol=1e-3)
    np.testing.assert_array_equal(read_mask(nifti / "lungs.nii.gz", volume), made.lungs)


def test_a_case_is_prepared_once_and_its_masks_are_kept(nifti: Path, tmp_path: Path) -> None:
    models = load(BUNDLED, device_for("cpu"))
    case = Case(
        path=nifti / "ct.nii.gz",
        patient="p",
        label=1,
        lungs=nifti / "lungs.nii.gz",
        lesions=nifti / "lesions.nii.gz",
    )

    file = prepared.prepared(case, models, SMALL, folder=tmp_path)
    written = file.stat().st_mtime_ns
    again = prepared.prepared(case, models, SMALL, folder=tmp_path)

    assert again == file
    assert again.stat().st_mtime_ns == written
    held = prepared.load(file)
    assert held.sampling == SMALL.sampling
    assert held.hu.shape == (24, 48, 64)
    assert held.lesions_known
    assert held.lesions.any()
    assert held.lungs[held.lesions].mean() > 0.9
    assert held.hu[held.lungs].mean() < -600


def labelled(nifti: Path, folder: Path, rows: dict[int, int]) -> Case:
    """The case with labels of some of its slices."""
    volume = read_volume(nifti / "ct.nii.gz")
    z_mm = volume.affine[2, 3] + volume.affine[2, 0] * np.arange(len(volume.hu))
    lines = [f"{z_mm[at]},{infected}" for at, infected in rows.items()]
    labels = folder / "slices.csv"
    labels.write_text("\n".join(["z_mm,infected", *lines]) + "\n")
    return Case(
        path=nifti / "ct.nii.gz",
        patient="p",
        label=1,
        lungs=nifti / "lungs.nii.gz",
        slices=labels,
    )


def test_labels_of_slices_lie_on_the_planes_of_their_slices(nifti: Path, tmp_path: Path) -> None:
    models, volume = load(BUNDLED, device_for("cpu")), read_volume(nifti / "ct.nii.gz")
    case = labelled(nifti, tmp_path, {at: int(at >= 18) for at in range(10, 25)})
    without = prepared.prepared(replace(case, slices=None), models, SMALL, folder=tmp_path)

    file = prepared.prepared(case, models, SMALL, folder=tmp_path)

    assert file != without
    lungs = read_mask(nifti / "lungs.nii.gz", volume) > 0
    at = np.rint(prepared.StoredGrid.around(lungs, volume.spacing_mm, SMALL).planes)
    found = prepared.load(file).infected
    assert found is not None
    np.testing.assert_array_equal(found[at >= 25], UNKNOWN)
    np.testing.assert_array_equal(found[(at >= 19) & (at < 24)], 1)
    np.testing.assert_array_equal(found[(at >= 11) & (at < 17)], 0)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_few_labels_of_slices_reach_the_training_as_well(
    nifti: Path, tmp_path: Path, every: int
) -> None:
    models = load(BUNDLED, device_for("cpu"))
    case = labelled(nifti, tmp_path, {at: int(at >= 20) for at in range(0, 40, every)})
    held = prepared.load(prepared.prepared(case, models, SMALL, folder=tmp_path))

    seen = [
        infected_cells(picture)
        for seed in range(20)
        for picture in random_pictures(held, (24, 42, 56), SMALL, np.random.default_rng(seed))
    ]

    assert np.mean(np.stack(seen) != UNKNOWN) > 0.7 / every
    assert set(np.unique(seen).tolist()) >= {0.0, 1.0}


def test_labels_of_slices_that_contradict_the_case_or_reach_no_lung_are_refused(
    nifti: Path, tmp_path: Path
) -> None:
    models = load(BUNDLED, device_for("cpu"))
    negative = replace(labelled(nifti, tmp_path, {20: 1}), label=0)
    with pytest.raises(PipelineError, match="no infected slice expected in a negative case"):
        prepared.prepare(negative, models, SMALL)
    with pytest.raises(PipelineError, match="all lie beyond them"):
        prepared.prepare(labelled(nifti, tmp_path, {0: 0}), models, SMALL)


def test_labels_of_slices_of_a_case_prepared_without_are_refused(
    nifti: Path, tmp_path: Path
) -> None:
    models = load(BUNDLED, device_for("cpu"))
    prepared.save(tmp_path / "case.npz", some_case())
    case = replace(labelled(nifti, tmp_path, {20: 1}), path=tmp_path / "case.npz")

    with pytest.raises(PipelineError, match="list the images that it was made of"):
        prepared.prepared(case, models, SMALL, folder=tmp_path)


def test_a_mask_that_lies_elsewhere_is_refused(nifti: Path, tmp_path: Path) -> None:
    volume = read_volume(nifti / "ct.nii.gz")
    image = sitk.ReadImage(str(nifti / "lungs.nii.gz"))

    def moved(mm: float) -> Path:
        image.SetOrigin([image.GetOrigin()[0] + mm, *image.GetOrigin()[1:]])
        sitk.WriteImage(image, str(tmp_path / "moved.nii.gz"))
        return tmp_path / "moved.nii.gz"

    assert read_mask(moved(0.1), volume).any()
    with pytest.raises(PipelineError, match=r"corners lie 30\.\d mm off"):
        read_mask(moved(30.0), volume)


def test_a_prepared_case_of_another_label_than_listed_is_refused(tmp_path: Path) -> None:
    prepared.save(tmp_path / "case.npz", some_case(label=0))
    case = Case(path=tmp_path / "case.npz", patient="p", label=1)

    with pytest.raises(PipelineError, match="the list's label 1 expected in the case, got 0"):
        prepared.prepared(case, load(BUNDLED, device_for("cpu")), SMALL, folder=tmp_path / "none")


def test_a_case_of_another_sampling_is_neither_listed_nor_drawn(tmp_path: Path) -> None:
    averages = SMALL.model_copy(update={"sampling": 2, "pixel_mm": 4.0})
    stretched, averaged = some_case(), replace(some_case(), sampling=2)
    prepared.save(tmp_path / "case.npz", averaged)
    row = Case(path=tmp_path / "case.npz", patient="p", label=1)

    assert prepared.load(row.path).sampling == 2
    prepared.require_fit(row, averages)
    with pytest.raises(PipelineError, match="with sampling 1 expected, got sampling 2"):
        prepared.require_fit(row, SMALL)
    with pytest.raises(PipelineError, match="a case prepared with sampling 2 expected"):
        prepared_input(stretched, averages)
    for case, wanted in ((stretched, averages), (averaged, SMALL)):
        with pytest.raises(PipelineError, match="a case prepared with sampling"):
            random_pictures(case, SHAPE, wanted, np.random.default_rng(1))


def test_a_network_of_sampling_1_sees_the_lungs_box_of_a_case_with_surroundings(
    nifti: Path,
) -> None:
    """What it is shown lies where it would lie if the case had been prepared for it."""
    models = load(BUNDLED, device_for("cpu"))
    case = Case(path=nifti / "ct.nii.gz", patient="p", lungs=nifti / "lungs.nii.gz", label=0)
    fine = SMALL.model_copy(update={"rows": 84, "columns": 112, "slice_mm": 4.0})
    averages = fine.model_copy(update={"sampling": 2, "pixel_mm": 2.5})

    own = prepared_input(prepared.prepare(case, models, fine), fine)
    other = prepared_input(prepared.prepare(case, models, averages), fine)

    assert own.tensor.shape[3:] == other.tensor.shape[3:]
    spare = own.tensor.shape[2] - other.tensor.shape[2]
    assert 0 <= spare <= 2, "its margin is rounded to slices of 7.5 mm, the other's to 4 mm"
    held = own.tensor[0, 1, spare // 2 :][: other.tensor.shape[2]]
    lungs = [held > 0, other.tensor[0, 1] > 0]
    assert np.count_nonzero(lungs[0] & lungs[1]) > 0.9 * np.count_nonzero(lungs[0] | lungs[1])
    assert all(low > 0 for low in other.low)


def test_a_case_that_names_no_sampling_is_stretched(tmp_path: Path) -> None:
    prepared.save(tmp_path / "case.npz", some_case())
    with np.load(tmp_path / "case.npz") as arrays:
        older = {name: arrays[name] for name in arrays if name != "sampling"}
    np.savez(tmp_path / "older.npz", **older)

    assert prepared.load(tmp_path / "older.npz").sampling == 1


@pytest.mark.parametrize(("sampling", "pixel_mm"), [(1, None), (2, 4.0)])
def test_a_phantom_is_prepared_with_the_sampling_that_is_wanted(
    sampling: int, pixel_mm: float | None
) -> None:
    wanted = SMALL.model_copy(update={"sampling": sampling, "pixel_mm": pixel_mm})

    prepared_input(phantom_canvas(5, wanted), wanted)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing here")

    with pytest.raises(PipelineError, match="a folder with DICOM files expected"):
        read_volume(tmp_path)
