"""The synthetic chest: what is drawn is a chest, its truth is true, its files are DICOM."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.encaps import generate_frames
from scipy import ndimage

from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import TRANSFER_SYNTAXES, transcoded
from tests.support.samples.phantom_enhanced import enhanced_dataset
from tests.support.samples.phantom_odd import (
    doubled,
    numbered_backwards,
    oblique,
    padded,
    rescaled,
    tilted,
    turned,
)

SMALL = {"size": 96, "slices": 40, "spacing_mm": 6.0}


@pytest.fixture(scope="module")
def diseased() -> Phantom:
    return make_phantom(PhantomSpec(seed=3, lesions=5, **SMALL))


def test_same_seed_gives_the_same_chest() -> None:
    again = make_phantom(PhantomSpec(seed=3, lesions=5, **SMALL))

    assert np.array_equal(make_phantom(PhantomSpec(seed=3, lesions=5, **SMALL)).hu, again.hu)


def test_another_seed_gives_another_chest(diseased: Phantom) -> None:
    other = make_phantom(PhantomSpec(seed=4, lesions=5, **SMALL))

    assert (other.lungs != diseased.lungs).mean() > 0.005


@pytest.mark.parametrize("seed", range(12))
def test_lungs_are_two_of_plausible_size_on_their_sides(seed: int) -> None:
    phantom = make_phantom(PhantomSpec(seed=seed, **SMALL))
    voxel_ml = abs(np.linalg.det(phantom.affine[:3, :3])) / 1000

    for label, low, high in ((1, 0, 52), (2, 44, 96)):
        lung = phantom.lungs == label
        columns = np.flatnonzero(lung.any(axis=(0, 1)))
        pieces, _ = ndimage.label(lung)
        sizes = np.bincount(pieces[lung])
        assert low <= columns.min()
        assert columns.max() < high
        assert 600 < lung.sum() * voxel_ml < 4500
        assert sizes.max() > 0.9 * lung.sum()


@pytest.mark.parametrize("seed", range(12))
def test_every_lesion_lies_in_the_lungs_and_is_denser(seed: int) -> None:
    sick = make_phantom(PhantomSpec(seed=seed, lesions=5, **SMALL))

    healthy_tissue = np.median(sick.hu[(sick.lungs > 0) & (sick.lesions == 0)])
    assert set(np.unique(sick.lesions)) == {0, 1, 2, 3, 4, 5}
    assert np.all(sick.lungs[sick.lesions > 0] > 0)
    assert np.mean(sick.hu[sick.lesions > 0]) > healthy_tissue + 120


def test_healthy_chest_has_no_lesions() -> None:
    assert not make_phantom(PhantomSpec(seed=1, lesions=0, **SMALL)).lesions.any()


def test_air_fat_soft_tissue_and_bone_are_there(diseased: Phantom) -> None:
    hu = diseased.hu

    assert hu.dtype == np.int16
    assert np.median(hu[:, :4, :4]) == pytest.approx(-1000, abs=5)
    for low, high in ((-950, -700), (-140, -70), (20, 80), (300, 700)):
        assert ((hu > low) & (hu < high)).mean() > 0.005


def test_affine_places_the_patients_left_at_high_columns_and_the_head_last(
    diseased: Phantom,
) -> None:
    steps = np.sign(diseased.affine[:3, :3])

    assert np.array_equal(steps, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert diseased.affine[2, 0] == pytest.approx(6.0)


@pytest.mark.parametrize("lesions", [-1, 256])
def test_number_of_lesions_out_of_range_is_refused(lesions: int) -> None:
    with pytest.raises(ValueError, match="0 to 255 lesions expected, got"):
        PhantomSpec(lesions=lesions)


def _stored(dataset: Dataset) -> np.ndarray:
    """Decode with pydicom, or with a second decoder where pydicom has no plugin here."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in (TRANSFER_SYNTAXES["jpeg-lossless"], TRANSFER_SYNTAXES["htj2k"]):
        return dataset.pixel_array
    decode = {
        TRANSFER_SYNTAXES["jpeg-lossless"]: imagecodecs.jpegsof3_decode,
        TRANSFER_SYNTAXES["htj2k"]: imagecodecs.htj2k_decode,
    }[syntax]
    return decode(next(generate_frames(dataset.PixelData, number_of_frames=1)))


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_files_hold_the_phantom_in_every_transfer_syntax(
    syntax: str, diseased: Phantom, tmp_path: Path
) -> None:
    datasets = phantom_datasets(diseased, seed=3)[17:20]

    paths = write_series(datasets, tmp_path / "series", syntax)

    assert [path.name for path in paths] == ["IM0001.dcm", "IM0002.dcm", "IM0003.dcm"]
    for path, expected in zip(paths, diseased.hu[17:20], strict=True):
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
        assert np.array_equal(_stored(dataset).astype(int) - 1024, expected)


def test_identifiers_follow_from_the_seed(diseased: Phantom) -> None:
    first, second, other = (phantom_datasets(diseased, seed=seed) for seed in (3, 3, 4))

    assert [d.SOPInstanceUID for d in first] == [d.SOPInstanceUID for d in second]
    assert len({d.SOPInstanceUID for d in [*first, *other]}) == 2 * len(first)
    assert first[0].PatientName == "Phantom^Chest"


def test_unknown_transfer_syntax_is_named(diseased: Phantom, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of explicit, .* got 'jpeg'"):
        write_series(phantom_datasets(diseased, seed=3), tmp_path, "jpeg")


def test_enhanced_frames_are_the_slices(diseased: Phantom) -> None:
    dataset = enhanced_dataset(diseased, seed=3, head_first=True)

    assert np.array_equal(dataset.pixel_array.astype(int) - 1024, diseased.hu[::-1])
    frames = dataset.PerFrameFunctionalGroupsSequence
    heights = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in frames]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: turned(s, "FFP"),
        lambda s: tilted(s, 9.0),
        lambda s: oblique(s, 9.0),
        lambda s: rescaled(s, 2.0, -2000.0),
        padded,
        numbered_backwards,
        lambda s: doubled(s, 1),
        lambda s: [transcoded(d, "jls") for d in s],
    ],
)
def test_spoiling_leaves_the_series_given_alone(
    diseased: Phantom, spoil: Callable[[list[Dataset]], list[Dataset]]
) -> None:
    series, untouched = (phantom_datasets(diseased, seed=3)[:3] for _ in range(2))

    spoilt = spoil(series)

    assert spoilt != untouched or any("2.4.80" in d.file_meta.TransferSyntaxUID for d in spoilt)
    for dataset, before in zip(series, untouched, strict=True):
        assert dataset == before
        assert dataset.file_meta == before.file_meta
