"""Tell from a few slices whether a stack begins and ends outside the lungs.

Measured on six chest CT of four makes: over the abdomen and above the apices gas takes 0.002 to
0.03 of the trunk, on the first slice with lung less than 0.06, in mid-chest 0.2 to 0.56.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SAMPLED_STEP = 4  #: every 4th row and column is looked at
GAS_HU = -400  #: below it lie lung and gas, above it tissue
MAXIMUM_END_SHARE = 0.03  #: of the trunk that may be gas on an end slice
MINIMUM_LUNG_SHARE = 0.15  #: of the trunk that must be gas on one slice in between


def gas_share(hu: NDArray[np.int16]) -> float:
    """Measure the share of the trunk that is gas, on one slice.

    The trunk is whatever lies between tissue on all four sides, also where the field of view, or a
    thin chest wall, leaves its outline open.

    Parameters
    ----------
    hu
        ``(rows, columns)``.
    """
    tissue = hu[::SAMPLED_STEP, ::SAMPLED_STEP] > GAS_HU
    labels, count = ndimage.label(ndimage.binary_opening(tissue))
    if not count:
        return 0.0
    largest = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    trunk = _between(largest, 0) & _between(largest, 1)
    return float((trunk & ~tissue).sum() / max(trunk.sum(), 1))


def _between(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Pixels with some of the mask before and behind them along an axis."""
    before = np.maximum.accumulate(mask, axis)
    behind = np.flip(np.maximum.accumulate(np.flip(mask, axis), axis), axis)
    between: NDArray[np.bool_] = before & behind
    return between


def ends_outside_lungs(shares: Sequence[float]) -> bool:
    """Tell whether a stack holds the lungs whole, from head to foot.

    Parameters
    ----------
    shares
        `gas_share` of its first slice, of some in between, of its last.
    """
    first, *between, last = shares
    return max(first, last) < MAXIMUM_END_SHARE and max(between, default=0.0) > MINIMUM_LUNG_SHARE
