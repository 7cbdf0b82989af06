"""Views of a case for a training step: their geometry, and what those of one case share."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pipeline.model.manifest import ClassifierInput
from pipeline.training import augment
from pipeline.training.augment import random_pictures
from tests.unit.pipeline.cases.test_prepared import some_case

WANTED = ClassifierInput(
    rows=32,
    columns=48,
    slice_mm=16,
    window_hu=(-1200, 600),
    margin_mm=5.0,
    sampling=2,
    pixel_mm=5.0,
)
SHAPE = (12, 41, 57)


@pytest.mark.parametrize("seed", range(4))
def test_a_view_in_millimetres_is_the_affine_map_of_the_stored_box(seed: int) -> None:
    """Planes first and then the plane is the same as all at once, by torch's own sampling."""
    case = replace(some_case(seed), sampling=2)
    matrix, _ = augment._affine(np.random.default_rng(seed))
    steps = np.array([16, 5, 5], np.float32)

    found = augment._in_mm(case, SHAPE, matrix, steps)

    drawn = torch.tensor([(n - 1) * mm for n, mm in zip(SHAPE, steps.tolist(), strict=True)][::-1])
    stored = torch.tensor(case.size_mm[::-1])
    in_mm = torch.cat(
        [matrix[:, :3] * drawn / stored[:, None], matrix[:, 3:] * (drawn / stored)[:, None]], dim=1
    )
    grid = functional.affine_grid(in_mm[None].float(), [1, 1, *SHAPE], align_corners=True)
    stack = torch.from_numpy(np.stack([case.hu, case.lungs, case.lesions]).astype(np.float32))
    whole = functional.grid_sample(stack[None], grid, padding_mode="border", align_corners=True)
    np.testing.assert_allclose(found[1:], whole[0, 1:].numpy(), atol=1e-3)
    np.testing.assert_allclose(found[0], whole[0, 0].numpy(), atol=1.0)


def test_two_views_are_one_patient_seen_by_two_scanners() -> None:
    case = replace(some_case(), sampling=2)

    for seed in range(6):
        first, second = random_pictures(case, SHAPE, WANTED, np.random.default_rng(seed), views=2)

        assert not np.array_equal(first.channels[0], second.channels[0])
        assert any(
            np.array_equal(first.lesions, as_mirrored(second.lesions, axes))
            for axes in ([], [2], [0], [0, 2])
        )


def test_views_are_mirrored_and_upside_down_at_random() -> None:
    case = replace(some_case(), sampling=2)
    turned = set()
    for seed in range(24):
        first, second = random_pictures(case, SHAPE, WANTED, np.random.default_rng(seed), views=2)
        for mirrored, reversed_ in product([False, True], repeat=2):
            axes = [2] * mirrored + [0] * reversed_
            if np.array_equal(first.lesions, as_mirrored(second.lesions, axes)):
                turned.add((mirrored, reversed_))

    assert turned == set(product([False, True], repeat=2))


@pytest.mark.parametrize("pixel_mm", [None, 5.0])
def test_labels_of_slices_stay_with_their_slices(pixel_mm: float | None) -> None:
    """Infected slices are bright here, others dark, and those without a label in between."""
    infected = np.repeat(np.array([1, 0, -1, 1], np.int8), 3)
    bright = np.array([-1150, 600, -300], np.int16)[infected]  # the last is that of -1
    case = replace(
        some_case(),
        hu=np.broadcast_to(bright[:, None, None], (12, 20, 30)),
        sampling=1 if pixel_mm is None else 2,
        infected=infected,
    )
    wanted = WANTED.model_copy(update={"sampling": case.sampling, "pixel_mm": pixel_mm})
    seen = set()
    for seed in range(12):
        for picture in random_pictures(case, SHAPE, wanted, np.random.default_rng(seed), views=2):
            assert picture.infected is not None
            grey = picture.channels[0].mean(axis=(1, 2))
            for label, value in zip(picture.infected.tolist(), grey.tolist(), strict=True):
                seen.add(label)
                if label >= 0:
                    assert (value > 0.62, value < 0.38) == (label == 1, label == 0)

    assert seen == {-1.0, 0.0, 1.0}


def as_mirrored(array: NDArray[np.float32], axes: list[int]) -> NDArray[np.float32]:
    return np.flip(array, axes) if axes else array
