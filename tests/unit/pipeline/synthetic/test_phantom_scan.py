"""Bodies and scanners of the phantom: each option shows, and the truth stays true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipeline.synthetic.phantom.build import BUILDS, BuildName
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom

SMALL = {"seed": 3, "size": 96, "slices": 40, "spacing_mm": 7.0, "lesions": 2}


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return make_phantom(PhantomSpec(**SMALL))


def volume_ml(phantom: Phantom, label: int) -> float:
    voxel_mm3 = abs(np.linalg.det(phantom.affine[:3, :3]))
    return float((phantom.lungs == label).sum() * voxel_mm3 / 1000)


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_has_two_lungs_and_its_lesions(build: BuildName) -> None:
    phantom = make_phantom(PhantomSpec(**SMALL, build=build))

    assert all(600 < volume_ml(phantom, label) < 4500 for label in (1, 2))
    assert phantom.lesions.any()
    assert np.all(phantom.lungs[phantom.lesions > 0] > 0)
    assert np.median(phantom.hu[phantom.lungs > 0]) < -700


def test_small_people_have_small_lungs_and_barrels_large_ones(plain: Phantom) -> None:
    sizes = {
        build: sum(volume_ml(make_phantom(PhantomSpec(**SMALL, build=build)), n) for n in (1, 2))
        for build in ("small", "average", "barrel")
    }

    assert sizes["small"] < 0.75 * sizes["average"]
    assert sizes["barrel"] > 1.15 * sizes["average"]


def test_a_curved_spine_leaves_the_mid_plane(plain: Phantom) -> None:
    curved = make_phantom(PhantomSpec(**SMALL, build="scoliotic"))

    def wander(phantom: Phantom) -> float:
        """Spread along the body of the column halfway between the lungs' centres."""
        middles = []
        for plane in phantom.lungs[8:28]:
            columns = [np.argwhere(plane == label)[:, 1].mean() for label in (1, 2)]
            middles.append(np.mean(columns))
        return float(np.ptp(middles))

    assert wander(curved) > wander(plain) + 2


def test_kernels_differ_in_sharpness_and_in_nothing_else() -> None:
    soft, standard, sharp = (
        make_phantom(PhantomSpec(**SMALL, kernel=kernel))
        for kernel in ("soft", "standard", "sharp")
    )

    def detail(phantom: Phantom) -> float:
        hu = phantom.hu.astype(np.float32)
        return float((hu - ndimage.uniform_filter(hu, (1, 3, 3))).std())

    assert detail(soft) < detail(standard) < detail(sharp)
    assert np.array_equal(soft.lungs, sharp.lungs)
    assert np.median(soft.hu) == pytest.approx(np.median(sharp.hu), abs=5)


def test_motion_doubles_the_domes_and_spares_the_apex(plain: Phantom) -> None:
    moved = make_phantom(PhantomSpec(**SMALL, motion_mm=12.0))

    change = np.abs(moved.hu.astype(int) - plain.hu).mean(axis=(1, 2))
    assert change[:20].max() > 10 * change[-3:].max()
    assert np.array_equal(moved.lungs, plain.lungs)


@pytest.mark.parametrize("padding_hu", [-2000, -1000])
def test_padding_stands_outside_the_round_field(plain: Phantom, padding_hu: int) -> None:
    padded = make_phantom(PhantomSpec(**SMALL, padding_hu=padding_hu))

    assert np.all(padded.hu[:, :8, :8] == padding_hu)
    assert np.array_equal(padded.hu[:, 40:60, 10:86], plain.hu[:, 40:60, 10:86])
    image = phantom_datasets(padded, seed=3)[0]
    assert image.pixel_array[0, 0] * image.RescaleSlope + image.RescaleIntercept == padding_hu


@pytest.mark.parametrize("spacing_mm", [0.8, 1.5, 5.0])
def test_lungs_keep_their_size_at_any_slice_distance(spacing_mm: float) -> None:
    spec = {"seed": 5, "size": 64, "lesions": 1}
    phantom, coarse = (
        make_phantom(PhantomSpec(**spec, slices=round(300 / mm), spacing_mm=mm))
        for mm in (spacing_mm, 4.0)
    )

    assert volume_ml(phantom, 1) == pytest.approx(volume_ml(coarse, 1), rel=0.03)
    assert phantom.affine[2, 0] == pytest.approx(spacing_mm)
