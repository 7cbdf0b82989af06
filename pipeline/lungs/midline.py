"""Find the middle of the body, to tell a right from a left lung.

The lungs do not tell it: where one is absent or airless, the middle of the mask lies in the other.
Spine and skin stay where they are then; the trachea may be drawn towards the empty side, away
from the remaining lung.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import Mask, Spacing

BONE_MIN_HU = 200  #: HU; denser is bone, or vessels full of contrast medium (our choice)
SPINE_MM = 30.0  #: edge of a square that a vertebra fills
SPINE_DENSITY = 0.1
"""Share of bone in that square over all slices, at least; measured on six series: 0.26 to 0.50, on
phantoms 0.24 to 0.5."""
FRONT_OVER_BACK = 1.5
"""Density of bone in front of the middle over that behind it, from which the spine is in front;
measured on six series: 0.89 at most (contrast medium in the heart), 0.1 to 0.3 else; on phantoms
0.57 at most, and 1.75 or more upside down."""
BEYOND_TRACHEA_MM = (10.0, 60.0)  #: from the trachea, within which the spine lies behind it
BONE_AT_TRACHEA = 0.1
"""Share of bone there, on either side, from which it is believed; measured on six series: 0.14 to
0.40 behind the trachea, 0.06 at most before it."""
SPINE_OFF_MIDDLE_MM = 80.0  #: largest distance from the middle of all tissue, arms included
TISSUE_MIN_HU = -300  #: HU; denser is body, or the table (our choice)
TRACHEA_SHARE = 0.33  #: of the height of the airways, from the top: trachea, no bronchi


def middle_of_body(hu: NDArray[np.int16], spacing_mm: Spacing) -> float | None:
    """Column of the spine, or of the middle of the body where no spine is seen.

    Measured on six series, a lung lies on its own side of the spine with 97.1 % of its volume or
    more. It is looked for in the back: contrast medium in the heart is as dense as bone.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, columns towards the patient's left.

    Returns
    -------
    float | None
        None if there is no body.
    """
    if not (hu > TISSUE_MIN_HU).any():
        return None
    front, back = _spines(hu, spacing_mm)
    spine = front if front.density > FRONT_OVER_BACK * back.density else back
    return spine.column if spine.density >= SPINE_DENSITY else _middle_of_tissue(hu, axis=2)


def spine_is_in_front(hu: NDArray[np.int16], airways: Mask, spacing_mm: Spacing) -> bool:
    """Say whether the spine lies where the images are said to have the front of the body.

    Then the patient lay otherwise than Patient Position says, and right and left are exchanged.
    The bone before and behind the trachea tells it; where that is little, the bone of the front
    and of the back of the body.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, rows towards the back.
    airways
        Same shape; may be empty.
    """
    if not (hu > TISSUE_MIN_HU).any():
        return False
    before, behind = _bone_about_trachea(hu, airways, spacing_mm)
    if max(before, behind) >= BONE_AT_TRACHEA:
        return before > behind
    front, back = _spines(hu, spacing_mm)
    return front.density >= SPINE_DENSITY and front.density > FRONT_OVER_BACK * back.density


def _bone_about_trachea(
    hu: NDArray[np.int16], airways: Mask, spacing_mm: Spacing
) -> tuple[float, float]:
    """Shares of bone before and behind the trachea; 0 without one."""
    upper = _upper(airways)
    if upper is None:
        return 0.0, 0.0
    rows = np.count_nonzero(airways[upper], axis=(0, 2))
    row = round(float(np.average(np.arange(len(rows)), weights=rows)))
    column = round(middle_of_trachea(airways) or 0.0)
    near, far = (round(mm / spacing_mm[1]) for mm in BEYOND_TRACHEA_MM)
    wide = round(SPINE_MM / 2 / spacing_mm[2])
    strip = hu[upper, :, max(0, column - wide) : column + wide + 1] > BONE_MIN_HU
    return (
        _share(strip[:, max(0, row - far) : max(0, row - near)]),
        _share(strip[:, row + near : row + far]),
    )


def _share(bone: Mask) -> float:
    return float(bone.mean()) if bone.size else 0.0


def _upper(airways: Mask) -> slice | None:
    """Slices of the trachea, without bronchi."""
    held = np.flatnonzero(airways.any(axis=(1, 2)))
    if not len(held):
        return None
    return slice(int(held[-1] - int(TRACHEA_SHARE * (held[-1] - held[0]))), int(held[-1]) + 1)


def middle_of_trachea(airways: Mask) -> float | None:
    """Column of the upper airways, None if they are empty; the axes are those of the lungs.

    Measured on six series, a lung lies on its own side of it with 97.1 % of its volume or more;
    beside a curved spine with 73 % (a phantom).
    """
    upper = _upper(airways)
    if upper is None:
        return None
    counts = np.count_nonzero(airways[upper], axis=(0, 1))
    return float(np.average(np.arange(len(counts)), weights=counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spine:
    """Densest block of bone, seen along the body: its column, and its share of bone."""

    column: float
    density: float


def _spines(hu: NDArray[np.int16], spacing_mm: Spacing) -> tuple[_Spine, _Spine]:
    """Densest blocks of bone of the front and of the back of a body."""
    row, column = (round(_middle_of_tissue(hu, axis=axis)) for axis in (1, 2))
    bone = (np.count_nonzero(hu > BONE_MIN_HU, axis=0) / len(hu)).astype(np.float32)
    row = min(max(row, 1), len(bone) - 1)
    return _spine(bone[:row], column, spacing_mm), _spine(bone[row:], column, spacing_mm)


def _spine(bone: NDArray[np.float32], middle: int, spacing_mm: Spacing) -> _Spine:
    """Block of bone that goes through most slices, near the middle of the tissue."""
    reach = int(SPINE_OFF_MIDDLE_MM / spacing_mm[2])
    first = max(0, middle - reach)
    bone = bone[:, first : middle + reach + 1]
    size = [max(1, round(SPINE_MM / mm)) for mm in spacing_mm[1:]]
    dense = ndimage.uniform_filter(bone, size=size, mode="constant")
    row, column = np.unravel_index(int(dense.argmax()), dense.shape)
    across = _around(int(column), size[1])
    weights = bone[_around(int(row), size[0]), across].sum(axis=0) + np.finfo(np.float32).tiny
    centre = first + across.start + np.average(np.arange(len(weights)), weights=weights)
    return _Spine(column=float(centre), density=float(dense[row, column]))


def _around(index: int, width: int) -> slice:
    return slice(max(0, index - width // 2), index + width // 2 + 1)


def _middle_of_tissue(hu: NDArray[np.int16], axis: int) -> float:
    """Row (1) or column (2) with as much tissue on either side; there is some."""
    others = tuple(other for other in range(3) if other != axis)
    tissue = np.cumsum(np.count_nonzero(hu > TISSUE_MIN_HU, axis=others))
    return float(np.searchsorted(tissue, tissue[-1] / 2))
