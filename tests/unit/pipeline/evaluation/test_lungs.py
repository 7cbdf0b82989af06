"""The figures on the lungs: overlaps with masks, and what of the dense lung a mask keeps."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)

from pipeline.evaluation.lungs import SOLID_SHARE, dense_lung, main
from pipeline.lungs.coarse_grid import Coarse
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

SPEC = PhantomSpec(seed=905, slices=56, size=128, spacing_mm=5.0, lesions=4)
SPACING = (SPEC.spacing_mm, SPEC.field_mm / SPEC.size, SPEC.field_mm / SPEC.size)


def test_dense_lung_is_ground_glass_and_no_vessel_fat_or_hilum() -> None:
    lungs = np.zeros((6, 80, 100), np.uint8)
    lungs[1:5, 20:60, 10:42], lungs[1:5, 20:60, 58:90] = 1, 2
    hu = np.where(lungs > 0, -850, 40).astype(np.int16)
    opacity, vessel, fat, hilum = (np.zeros(hu.shape, bool) for _ in range(4))
    opacity[2:4, 30:40, 10:20] = True
    vessel[2:4, 45, 12:30] = True
    fat[2:4, 48:58, 62:74] = True
    hilum[2:4, 30:40, 36:42] = True
    hu[opacity | hilum], hu[vessel], hu[fat] = -450, -450, -100
    kept = np.where(opacity, 0, lungs).astype(np.uint8)
    coarse = Coarse(hu=hu, spacing_mm=(5.0, 2.0, 2.0), factors=(1, 1, 1), shape=(6, 80, 100))

    dense = dense_lung({"unet": lungs, "unsupervised": kept}, kept > 0, coarse)

    assert dense[opacity].mean() > 0.9
    assert not dense[vessel | fat | hilum].any()
    assert dense[~opacity].sum() == 0


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    phantom = make_phantom(SPEC)
    for name, array in (("ct", phantom.hu), ("lungs", phantom.lungs)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SPACING[::-1])
        sitk.WriteImage(image, str(tmp_path / f"a-{name}.nii.gz"))
    return tmp_path


def test_a_mask_drawn_by_others_is_compared_with_every_method(pair: Path) -> None:
    main(["--lungs", str(pair), "--out", str(pair / "lungs.json")])

    (score,) = json.loads((pair / "lungs.json").read_text())
    assert score["case"] == "a"
    assert set(score["overlap"]) == {"unet, unsupervised", "unet, liao", "unsupervised, liao"}
    assert score["drawn"]["unsupervised"] > 0.95
    assert min(score["drawn_aerated"].values()) > 0.9
    assert score["covered"] == {}


def test_a_part_of_a_lung_is_made_solid_and_what_is_kept_of_it_is_told(pair: Path) -> None:
    main(["--lungs", str(pair), "--painted", "1", "--out", str(pair / "lungs.json")])

    healthy, painted = json.loads((pair / "lungs.json").read_text())
    assert SOLID_SHARE[0] <= painted["solid"] <= SOLID_SHARE[1]
    assert set(painted["drawn"]) == {"delivered", "unet", "unsupervised"}
    lost = painted["solid"] / 2  # of both lungs
    assert painted["kept"]["unsupervised"] < 0.5
    assert painted["drawn"]["unsupervised"] < healthy["drawn"]["unsupervised"] - lost / 4
