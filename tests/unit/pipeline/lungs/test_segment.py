"""The lungs: found in phantoms, sides right, airways out, opacities in; gates choose or refuse."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import ModelError, UnsuitableSeries
from pipeline.lungs.airways import airways_of
from pipeline.lungs.coarse_grid import Spacing, coarsen, near_in_plane, refine
from pipeline.lungs.facts import facts_of
from pipeline.lungs.gas_outside_lungs import stray_gas
from pipeline.lungs.gates import dice
from pipeline.lungs.liao import segment_liao
from pipeline.lungs.morphological_closing import filled
from pipeline.lungs.segment import (
    UNET,
    UNSUPERVISED,
    choose_method,
    is_witnessed,
    lungs_of_mask,
    segment,
)
from pipeline.lungs.unet import segment_unet
from pipeline.lungs.unsupervised import segment_unsupervised
from pipeline.model.loading import Models, load
from pipeline.model.manifest import BUNDLED, LungsInput
from pipeline.networks.unet import UNet
from pipeline.reasons import QualityFlag
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.types import CtVolume
from tests.support.samples.real_series import real_series

SPEC = PhantomSpec(seed=901, slices=60, size=256, spacing_mm=5.0, lesions=5)
SPACING: Spacing = (SPEC.spacing_mm, SPEC.field_mm / SPEC.size, SPEC.field_mm / SPEC.size)
SEEN = LungsInput(size=64, window_hu=(-1200, 600))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SPEC)


@pytest.fixture(scope="module")
def found(phantom: Phantom) -> NDArray[np.uint8]:
    return segment_unsupervised(phantom.hu, SPACING)


@pytest.fixture(scope="module")
def shipped() -> Models:
    return load(BUNDLED, torch.device("cpu"))


def volume_of(hu: NDArray[np.int16], spacing: Spacing = SPACING) -> CtVolume:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1
    return CtVolume(
        hu=hu.copy(), affine=affine, frame_of_reference_uid="", source=(None,) * len(hu)
    )


def untrained(models: Models) -> Models:
    torch.manual_seed(3)
    return dataclasses.replace(models, lungs=UNet().eval())


# The unsupervised method


def test_both_lungs_of_a_phantom_are_found_on_their_sides(
    phantom: Phantom, found: NDArray[np.uint8]
) -> None:
    assert dice(found == 1, phantom.lungs == 1) > 0.97
    assert dice(found == 2, phantom.lungs == 2) > 0.97


def test_opacities_are_lung(phantom: Phantom, found: NDArray[np.uint8]) -> None:
    opacities = (phantom.lesions > 0) & (phantom.lungs > 0)

    assert opacities.sum() > 500
    assert (found[opacities] > 0).mean() > 0.9


def test_airways_are_found_outside_the_lungs(phantom: Phantom) -> None:
    air = (phantom.lungs > 0) | (phantom.hu < -900)

    middle = SPEC.size / 2
    airways = airways_of(phantom.hu, phantom.lungs > 0, middle, SPACING)

    millilitres = airways.sum() * np.prod(SPACING) / 1000
    assert 15 < millilitres < 150
    assert (airways & (phantom.lungs > 0)).sum() < 0.01 * (phantom.lungs > 0).sum()
    assert (phantom.hu[airways & air] < -900).mean() > 0.5


def test_mirrored_lungs_are_labelled_the_other_way_round(
    phantom: Phantom, found: NDArray[np.uint8]
) -> None:
    mirrored = segment_unsupervised(np.ascontiguousarray(phantom.hu[..., ::-1]), SPACING)[..., ::-1]

    assert dice(mirrored == 1, found == 2) > 0.97
    assert dice(mirrored == 2, found == 1) > 0.97


@pytest.mark.parametrize("hu", [-1000, 0, 400])
def test_nothing_is_found_where_there_is_no_chest(hu: int) -> None:
    assert not segment_unsupervised(np.full((20, 64, 64), hu, np.int16), SPACING).any()


def test_bowel_gas_that_hangs_together_with_a_lung_is_left_out(
    phantom: Phantom, found: NDArray[np.uint8]
) -> None:
    hu = phantom.hu.copy()
    z, rows, columns = np.nonzero(found[:20] == 2)
    base = int(z.min())
    row, column = int(rows[z == base].mean()), int(columns[z == base].mean())
    lowest = max(0, base - 4)
    gas = np.zeros(hu.shape, bool)
    gas[lowest : base + 1, row - 30 : row + 1, column - 15 : column + 15] = True
    gas &= phantom.hu > -300
    hu[gas] = -1000

    again = segment_unsupervised(hu, SPACING)

    assert gas.sum() * np.prod(SPACING) / 1000 > 20
    assert (again[gas] > 0).mean() < 0.3
    assert dice(again > 0, found > 0) > 0.97


BLOCK = np.zeros((9, 60, 60), np.uint8)
BLOCK[1:8, 10:50, 8:26], BLOCK[1:8, 10:50, 34:52] = 1, 2
FINE: Spacing = (5.0, 4.0, 4.0)


@pytest.mark.parametrize(("columns", "at_wall"), [(slice(47, 52), True), (slice(40, 45), False)])
def test_a_wide_notch_is_filled_at_the_chest_wall_and_not_towards_the_heart(
    columns: slice, *, at_wall: bool
) -> None:
    sides = BLOCK.copy()
    sides[..., 26:40] = 0
    notch = np.zeros(sides.shape, bool)
    notch[1:8, 24:33, columns] = True
    sides[notch] = 0
    hu = np.where(sides > 0, -850, 0).astype(np.int16)

    whole = filled(sides, np.zeros_like(notch), hu, 29.5, FINE)

    share = (whole[notch] == 2).mean()
    assert share > 0.4 if at_wall else share < 0.1


def test_gas_beside_the_lungs_strays_and_a_cavity_within_does_not() -> None:
    hu = np.where(BLOCK > 0, -850, 40).astype(np.int16)
    lungs = BLOCK > 0
    hu[3:6, 14:17, 29:31] = -1000
    lungs[3:6, 14:17, 28:32] = True
    hu[2:7, 30:38, 12:20], hu[3:6, 32:36, 14:18] = 0, -1000

    stray = stray_gas(hu, lungs, FINE)

    assert stray[3:6, 14:17, 29:31].all()
    assert not stray[2:7, 30:38, 12:20].any()


# The method after Liao


def test_the_third_method_finds_the_lungs_too(phantom: Phantom) -> None:
    assert dice(segment_liao(phantom.hu, SPACING), phantom.lungs > 0) > 0.9


def test_the_third_method_follows_lungs_that_lead_outside_at_the_top(phantom: Phantom) -> None:
    hu = phantom.hu.copy()
    top = int(np.flatnonzero((phantom.lungs > 0).any(axis=(1, 2)))[-1])
    hu[top:, :, hu.shape[2] // 2 - 40 :] = -1000

    found = segment_liao(hu, SPACING)

    assert dice(found[:top], phantom.lungs[:top] > 0) > 0.9


@pytest.mark.parametrize("hu", [-1000, 0, 400])
def test_the_third_method_finds_nothing_where_there_is_no_chest(hu: int) -> None:
    assert not segment_liao(np.full((20, 64, 64), hu, np.int16), SPACING).any()


# The coarse grid


@pytest.mark.parametrize("shape", [(10, 512, 512), (7, 515, 510), (9, 100, 90), (11, 768, 512)])
def test_labels_come_back_to_the_shape_of_the_source(shape: tuple[int, int, int]) -> None:
    hu = np.zeros(shape, np.int16)
    hu[:, : shape[1] // 2] = -800

    coarse = coarsen(hu, (1.0, 0.7, 0.7))
    back = refine((coarse.hu < -400).astype(np.uint8), coarse)

    assert back.shape == shape
    assert dice(back > 0, hu < 0) > 0.98


# The network


def test_the_network_may_see_slices_of_any_shape() -> None:
    torch.manual_seed(0)
    hu = np.random.default_rng(0).integers(-1000, 400, (6, 90, 70)).astype(np.int16)

    assert segment_unet(hu, UNet().eval(), SEEN).shape == hu.shape


@pytest.mark.parametrize("shape", [(5, 128, 96), (5, 96, 128)])
@pytest.mark.parametrize("at_once", [0, 2, 5])
def test_what_the_network_sees_lands_where_it_is(shape: tuple[int, int, int], at_once: int) -> None:
    """A network whose lead of lung is low attenuation is a threshold: nothing may shift."""
    network = Threshold()
    hu = np.full(shape, 100, np.int16)
    for index in range(5):  # each slice another, over the edge of a batch too
        hu[index, 11 + 9 * index : 47 + 7 * index, 20:61] = -900

    found = segment_unet(hu, network, LungsInput(size=128, window_hu=(-1200, 600)), at_once)

    for index in range(5):
        assert dice(found[index], hu[index] < -400) > 0.98


class Threshold(UNet):
    """Lung where the windowed attenuation is below a half."""

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return torch.cat([slices, 1 - slices], dim=1)


class Looking(Threshold):
    """Keeps what it was shown; of all copies, for the network is copied."""

    shown: ClassVar[list[torch.Tensor]] = []

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        self.shown.append(slices)
        return super().forward(slices)


@pytest.mark.parametrize("pixel_mm", [(0.5, 1.0), (1.0, 0.5), (0.7, 0.7)])
def test_the_network_sees_square_pixels(pixel_mm: tuple[float, float]) -> None:
    network = Looking()
    hu = np.full((1, 128, 128), 100, np.int16)
    height, width = (int(32 / mm * min(pixel_mm)) for mm in pixel_mm)
    hu[0, 20 : 20 + height, 30 : 30 + width] = -900  # as high as wide, in mm

    seen = LungsInput(size=128, window_hu=(-1200, 600))
    found = segment_unet(hu, network, seen, pixel_mm=pixel_mm)

    dark = network.shown[-1][0, 0].float() < 0.3
    dark[round(128 * pixel_mm[0] / max(pixel_mm)) :] = False  # what was padded
    dark[:, round(128 * pixel_mm[1] / max(pixel_mm)) :] = False
    assert int(dark.any(1).sum()) == pytest.approx(int(dark.any(0).sum()), abs=1)
    assert dice(found, hu < -400) > 0.95


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelError, match="expected a UNet for the lungs, got Identity"):
        segment_unet(np.zeros((1, 64, 64), np.int16), torch.nn.Identity(), SEEN)


def test_small_parts_and_holes_of_a_raw_mask_are_mended(phantom: Phantom) -> None:
    raw = phantom.lungs > 0
    raw[30, 100:103, 60:63] = False
    raw[2:6, 2:12, 2:12] = True

    labels = lungs_of_mask(raw, coarsen(phantom.hu, SPACING))

    assert (labels[30, 100:103, 60:63] > 0).all() == (phantom.lungs[30, 100:103, 60:63] > 0).all()
    assert not labels[2:6, 2:12, 2:12].any()
    assert dice(labels == 1, phantom.lungs == 1) > 0.99


# Choosing


def test_methods_that_disagree_are_flagged(phantom: Phantom) -> None:
    shifted = np.roll(phantom.lungs, 12, axis=1)

    _, doubts = choose_method(
        {UNET: phantom.lungs, UNSUPERVISED: shifted}, coarsen(phantom.hu, SPACING)
    )

    (doubt,) = doubts
    assert doubt.code == QualityFlag.LUNGS_METHODS_DISAGREE
    assert doubt.text.startswith(f"Dice {dice(shifted > 0, phantom.lungs > 0):.2f}")


def test_of_methods_that_disagree_the_one_that_a_third_confirms_is_chosen(phantom: Phantom) -> None:
    shifted = np.roll(phantom.lungs, 12, axis=1)

    method, doubts = choose_method(
        {UNET: shifted, UNSUPERVISED: phantom.lungs}, coarsen(phantom.hu, SPACING)
    )

    assert method == UNSUPERVISED
    assert [doubt.code for doubt in doubts] == [QualityFlag.LUNGS_METHODS_DISAGREE]


# All of it


@pytest.mark.slow
def test_shipped_weights_find_the_lungs_of_a_new_phantom(phantom: Phantom, shipped: Models) -> None:
    lungs = segment(volume_of(phantom.hu), shipped)

    assert lungs.method == UNET
    assert lungs.flags == ()
    assert lungs.labels.shape == phantom.hu.shape
    assert dice(lungs.labels == 1, phantom.lungs == 1) > 0.95
    assert dice(lungs.labels == 2, phantom.lungs == 2) > 0.95


@pytest.mark.slow
def test_a_network_that_sees_nothing_sensible_is_overruled(
    phantom: Phantom, shipped: Models
) -> None:
    lungs = segment(volume_of(phantom.hu), untrained(shipped))

    assert lungs.method == UNSUPERVISED
    assert QualityFlag.LUNGS_METHODS_DISAGREE in lungs.flags
    assert dice(lungs.labels > 0, phantom.lungs > 0) > 0.97


def test_a_body_without_lungs_is_refused_with_the_figures(shipped: Models) -> None:
    hu = np.full((10, 128, 128), -1000, np.int16)
    hu[:, 20:108, 20:108] = 40

    with pytest.raises(UnsuitableSeries, match=r"unet: .*unsupervised: lungs-volume 0 L") as caught:
        segment(volume_of(hu), shipped)

    assert caught.value.code == "lungs-not-found"


# Real series


def real(name: str) -> CtVolume:
    return volume_of(*real_series(name))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "litres"),
    [
        pytest.param("mass-01", 3.8, marks=pytest.mark.long),
        pytest.param("covid-01", 6.2, marks=pytest.mark.long),
        pytest.param("cap-01", 6.0, marks=pytest.mark.long),
        pytest.param("normal-01", 3.5, marks=pytest.mark.long),
        pytest.param("tumour-01", 4.6, marks=pytest.mark.long),
        pytest.param("tumour-02", 5.6, marks=pytest.mark.long),
    ],
)
def test_real_lungs_are_found_by_both_methods_alike(
    name: str, litres: float, shipped: Models
) -> None:
    volume = real(name)

    lungs = segment(volume, shipped)

    facts = facts_of(lungs.labels, volume.hu, volume.spacing_mm)
    assert lungs.flags == ()
    assert facts.litres == pytest.approx(litres, rel=0.08)
    assert 0.8 < facts.ratio < 1.5


# What saves time


class MeanLead(UNet):
    """Says lung, by as much as a slice's mean lies above the middle of the window."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = 0

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        self.slices += len(slices)
        lead = slices.mean(dim=(1, 2, 3), keepdim=True) - 0.5
        return torch.cat([torch.zeros_like(slices), lead.expand_as(slices)], dim=1)


def test_thin_slices_between_those_that_the_network_sees_are_interpolated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = MeanLead().eval()
    monkeypatch.setattr("pipeline.lungs.unet.folded", lambda given: given)
    hu = np.full((9, 64, 64), -1200, np.int16)  # seen are slices 1, 4 and 7
    hu[4] = 600
    hu[7:] = -600

    found = segment_unet(hu, network, SEEN, step=3)

    assert network.slices == 3
    assert found.any(axis=(1, 2)).tolist() == [False] * 3 + [True] * 4 + [False] * 2
    assert np.array_equal(segment_unet(hu, network, SEEN), segment_unet(hu, network, SEEN, step=1))


@pytest.mark.parametrize("pixel_mm", [(1.5, 1.5), (0.7, 1.3)])
@pytest.mark.parametrize("radius_mm", [0.5, 4.0, 25.0])
def test_a_disc_reaches_as_far_as_a_distance_transform_says(
    radius_mm: float, pixel_mm: tuple[float, float]
) -> None:
    mask = np.random.default_rng(5).random((9, 33, 20)) < 0.01
    mask[4] = False

    near = near_in_plane(mask, radius_mm, pixel_mm)

    assert not near[4].any()
    for image, found in zip(np.delete(mask, 4, 0), np.delete(near, 4, 0), strict=True):
        away = ndimage.distance_transform_edt(~image, sampling=pixel_mm)
        assert np.array_equal(found, away <= radius_mm)


def test_air_confirms_the_lungs_that_are_there_and_no_others(phantom: Phantom) -> None:
    lungs, coarse = phantom.lungs.astype(np.uint8), coarsen(phantom.hu, SPACING)
    top = np.flatnonzero(lungs.any(axis=(1, 2)))[-1]
    without_apex, one_only, filled_up = lungs.copy(), lungs.copy(), phantom.hu.copy()
    without_apex[top - 6 :][lungs[top - 6 :] == 1] = 0
    one_only[lungs == 2] = 0
    lower = lungs[: top // 2]
    filled_up[: top // 2][lower == 2] = 30

    assert is_witnessed(lungs, coarse)
    assert not is_witnessed(without_apex, coarse)
    assert not is_witnessed(one_only, coarse)
    assert not is_witnessed(lungs, coarsen(filled_up, SPACING))
