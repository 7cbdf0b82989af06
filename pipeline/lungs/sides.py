"""Tell the right lung from the left, also where the two touch.

Both lungs often meet at the anterior junction line, a membrane thinner than a voxel. Eroding the
mask until it falls in two parts of like size, and giving each voxel to the nearer part, cuts
there (after Hu et al., IEEE TMI 2001, 10.1109/42.929615, with distances instead of a graph).
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of, distance_mm, image_of
from pipeline.types import LEFT_LUNG, RIGHT_LUNG

EROSIONS_MM = (0.0, 1.5, 3.0, 5.0, 8.0, 12.0, 16.0)  #: depths tried, rising
MIN_PART = 0.1  #: share of the mask that a part needs to be a lung of its own
SPECK_ML = 10.0  #: smaller parts beside the two lungs are dropped
CUT_PIXEL_MM = 3.0  #: the cut is looked for in pixels of about this size


def sides_of(lungs: Mask, spacing_mm: Spacing) -> NDArray[np.uint8]:
    """Label the lungs: 1 right, 2 left; specks apart from both are dropped.

    Parameters
    ----------
    lungs
        ``(slices, rows, columns)``, columns towards the patient's left, airways left out.

    Notes
    -----
    A single lung (or two that no erosion parts) is cut at the middle column of the mask.
    """
    kept = _without_specks(lungs, spacing_mm)
    if not kept.any():
        return kept.view(np.uint8)
    step = max(1, int(CUT_PIXEL_MM / min(spacing_mm[1:])))
    thin = np.ascontiguousarray(kept[:, ::step, ::step])
    left = _left(thin, (spacing_mm[0], spacing_mm[1] * step, spacing_mm[2] * step))
    left = left.repeat(step, axis=1).repeat(step, axis=2)
    labels = np.where(left[:, : kept.shape[1], : kept.shape[2]], LEFT_LUNG, RIGHT_LUNG)
    return np.where(kept, labels, 0).astype(np.uint8)


def _without_specks(lungs: Mask, spacing_mm: Spacing) -> Mask:
    labels = array_of(sitk.ConnectedComponent(image_of(lungs, spacing_mm)))
    large = np.bincount(labels.ravel()) >= SPECK_ML * 1000 / np.prod(spacing_mm)
    large[0] = False
    kept: Mask = large[labels]
    return kept


def _left(lungs: Mask, spacing_mm: Spacing) -> Mask:
    """Voxels nearer to the left lung (cut at the middle if the two do not part)."""
    depth = distance_mm(~lungs, spacing_mm)
    for erosion in EROSIONS_MM:
        parts = _two_parts(depth > erosion, spacing_mm)
        if parts is not None:
            right, left = (distance_mm(part, spacing_mm) for part in parts)
            return left < right
    _, _, columns = box_of(lungs, (0, 0, 0))
    nearer = np.zeros(lungs.shape, bool)
    nearer[..., (columns.start + columns.stop) // 2 :] = True
    return nearer


def _two_parts(core: Mask, spacing_mm: Spacing) -> tuple[Mask, Mask] | None:
    """Right and left part, if the two largest components lie beside one another."""
    labels = array_of(sitk.ConnectedComponent(image_of(core, spacing_mm)))
    sizes = np.bincount(labels.ravel(), minlength=3)[1:]
    largest, next_largest = np.argsort(sizes)[:-3:-1]
    if sizes[next_largest] < max(1, MIN_PART * sizes.sum()):
        return None
    first, second = labels == largest + 1, labels == next_largest + 1
    if _middle_column(first) > _middle_column(second):
        first, second = second, first
    return first, second


def _middle_column(mask: Mask) -> float:
    counts = mask.sum(axis=(0, 1))
    return float(np.average(np.arange(len(counts)), weights=counts))
