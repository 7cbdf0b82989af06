"""Look for what takes the place of lung, or of a mask of the lungs, and is none.

Fluid gathers behind the lung of a patient who lies on the back, between lung and ribs. Free gas
has no vessels in it: a pneumothorax, a large bulla, or a stomach or bowel in the chest.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of, image_of
from pipeline.lungs.midline import TISSUE_MIN_HU

RIB_MIN_HU = 150  #: HU; denser is bone (our choice)
RIBS_MM = 30.0  #: along the body, over which ribs close to a wall
BESIDE_SPINE_MM = 30.0  #: from the middle of the body: nearer, spine and vessels lie behind
PLEURA_MM = 12.0
"""Distance from a lung to the ribs behind it up to which there is only chest wall; measured on six
series: a median of 0 to 2 mm, 94 % within it."""
FREE_GAS_SMOOTH_MAX_HU = -965  #: HU; smoothed, the airiest lung measures -940, gas -1000 to -970
GAS_SMOOTH_MM = 6.0  #: edge of the cube over which noise and small vessels are averaged


def behind_ml(lung: Mask, hu: NDArray[np.int16], middle: float, spacing_mm: Spacing) -> float:
    """Volume between the back of a lung and the ribs, where they lie apart.

    Parameters
    ----------
    lung
        ``(slices, rows, columns)``, rows towards the back; not empty.
    hu
        Same shape.
    middle
        Column of the middle of the body.
    """
    slices, rows, columns = box_of(lung, (0, 0, 0))
    part = (slices, slice(rows.start, None), columns)
    own = lung[part]
    back = own.shape[1] - own[:, ::-1].argmax(axis=1)  # (slices, columns): first row behind
    size = max(1, round(RIBS_MM / spacing_mm[0]))
    ribs = ndimage.maximum_filter1d((hu[part] > RIB_MIN_HU).view(np.uint8), size, axis=0)
    wall = ribs.astype(bool) & (np.arange(own.shape[1])[:, None] >= back[:, None, :])
    apart_mm = (wall.argmax(axis=1) - back) * spacing_mm[1]
    aside = np.abs(np.arange(columns.start, columns.stop) - middle) * spacing_mm[2]
    seen = own.any(axis=1) & wall.any(axis=1) & (aside > BESIDE_SPINE_MM)
    apart_mm = np.where(seen & (apart_mm > PLEURA_MM), apart_mm, 0.0)
    return float(apart_mm.sum()) * spacing_mm[0] * spacing_mm[2] / 1000


def gas_ml(lung: Mask, hu: NDArray[np.int16], spacing_mm: Spacing) -> float:
    """Volume of the largest pocket of free gas inside a lung that is not empty."""
    box = box_of(lung, (0, 0, 0))
    size = [max(1, round(GAS_SMOOTH_MM / mm)) for mm in spacing_mm]
    smooth = ndimage.uniform_filter(hu[box], size=size, mode="nearest")
    gas = (smooth < FREE_GAS_SMOOTH_MAX_HU) & lung[box]
    sizes = np.bincount(array_of(sitk.ConnectedComponent(image_of(gas, spacing_mm))).ravel())
    return float(sizes[1:].max(initial=0)) * float(np.prod(spacing_mm)) / 1000


def outside_share(lungs: Mask, hu: NDArray[np.int16]) -> float:
    """Share of a mask that lies beside, before or behind all tissue of its rows and columns."""
    box = box_of(lungs, (0, 0, 0))
    tissue: Mask = hu[box[0]] > TISSUE_MIN_HU
    y, x = np.arange(tissue.shape[1])[:, None], np.arange(tissue.shape[2])
    first_row, first_column = tissue.argmax(axis=1), tissue.argmax(axis=2)
    last_row = tissue.shape[1] - 1 - tissue[:, ::-1].argmax(axis=1)
    last_column = tissue.shape[2] - 1 - tissue[:, :, ::-1].argmax(axis=2)
    inside = (
        (y > first_row[:, None, :])
        & (y < last_row[:, None, :])
        & (x > first_column[..., None])
        & (x < last_column[..., None])
    )
    held = lungs[box[0]]
    return np.count_nonzero(held & ~inside) / np.count_nonzero(held)
