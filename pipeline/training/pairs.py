"""Training material drawn at random: the same lungs with opacities and without, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.networks.decovnet import FEATURE_STRIDE, NEGATIVE, POSITIVE
from pipeline.training.chests import Chest
from pipeline.training.painting import paint_lesions, paint_lookalikes
from pipeline.training.views import Shape, View, picture, view_of

REAL_SHARE = 0.6  #: of the pairs, while there are real lungs
UNPAINTED_SHARE = 0.15  #: of the pairs: positive is a phantom born with its opacities


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """One positive and one negative picture.

    Attributes
    ----------
    pictures
        ``(2, 2, T, H, W)`` float32, network input.
    labels
        ``(2,)`` int64, class of each.
    lesions, lungs
        ``(2, T // 2, H / 8, W / 8)`` float32: share of each cell of the feature map.
    """

    pictures: Tensor
    labels: Tensor
    lesions: Tensor
    lungs: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The chests to draw from: healthy ones to paint on, and phantoms born with opacities."""

    real: Sequence[Chest]
    healthy: Sequence[Chest]
    diseased: Sequence[Chest]


def draw_pair(
    material: Material, shape: Shape, window_hu: tuple[float, float], rng: np.random.Generator
) -> Pair:
    """Draw a positive and a negative, equally lit, equally noisy, with the same look-alikes."""
    chests = material.real if material.real and rng.random() < REAL_SHARE else material.healthy
    seed = int(rng.integers(2**32))
    negative = view_of(chests[int(rng.integers(len(chests)))], shape, rng)
    if material.diseased and rng.random() < UNPAINTED_SHARE:
        positive = view_of(material.diseased[int(rng.integers(len(material.diseased)))], shape, rng)
        paint_lookalikes(negative, np.random.default_rng(seed))
        paint_lookalikes(positive, np.random.default_rng(seed))
    else:
        paint_lookalikes(negative, np.random.default_rng(seed))
        positive = negative.copy()
        paint_lesions(positive, rng)
    return _pair((positive, negative), window_hu, seed)


def _pair(views: tuple[View, View], window_hu: tuple[float, float], seed: int) -> Pair:
    pictures = [picture(view, window_hu, np.random.default_rng(seed)) for view in views]
    return Pair(
        pictures=torch.from_numpy(np.stack(pictures)),
        labels=torch.tensor([POSITIVE, NEGATIVE]),
        lesions=torch.stack([_cells(view.lesions) for view in views]),
        lungs=torch.stack([_cells(view.lungs) for view in views]),
    )


def _cells(mask: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Tensor:
    """Mean of a mask ``(T, H, W)`` over each cell of the feature map."""
    planes, rows, columns = FEATURE_STRIDE
    padding = (0, rows // 2, columns // 2)  # a cell is centred on its first row and column
    pooled = functional.avg_pool3d(
        torch.from_numpy(mask)[None], (planes, rows, columns), (planes, rows, columns), padding
    )
    size = (mask.shape[0] // planes, -(-mask.shape[1] // rows), -(-mask.shape[2] // columns))
    return pooled[0, : size[0], : size[1], : size[2]]
