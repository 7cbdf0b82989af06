"""Paint lungs that hold fluid or free gas, or are not there, into a chest CT.

All take attenuation ``(slices, rows, columns)``, feet to head, rows towards the back, and a mask
of one lung or of both, and return new arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Hu = NDArray[np.int16]
Mask = NDArray[np.bool_]

FLUID_HU, AIRLESS_HU, GAS_HU = 10, 35, -1000
NOISE_HU = 10


def painted(hu: Hu, where: Mask, value: int) -> Hu:
    """Fill a mask with one attenuation, and noise."""
    result = hu.copy()
    noise = np.random.default_rng(4).normal(value, NOISE_HU, int(where.sum()))
    result[where] = noise.clip(-1024, 3071)
    return result


def airless(hu: Hu, lung: Mask) -> Hu:
    """A white lung, the blurred edge included."""
    return painted(hu, ndimage.binary_dilation(lung, iterations=2) & (hu < 0), AIRLESS_HU)


def back(lung: Mask, share: float) -> Mask:
    """Hindmost share of a lung in each slice."""
    part = np.zeros_like(lung)
    for at in np.flatnonzero(lung.any(axis=(1, 2))):
        rows = np.nonzero(lung[at])[0]
        part[at] = lung[at] & (np.arange(lung.shape[1])[:, None] > np.quantile(rows, 1 - share))
    return part


def front(lung: Mask, share: float) -> Mask:
    """Foremost share of a lung in each slice."""
    return lung & ~back(lung, 1 - share)


def lower(lung: Mask, share: float) -> Mask:
    """Lowest share of the slices of a lung."""
    held = np.flatnonzero(lung.any(axis=(1, 2)))
    part = lung.copy()
    part[held[0] + int(share * len(held)) :] = False
    return part


def upper(lung: Mask, share: float) -> Mask:
    """Highest share of the slices of a lung."""
    return lung & ~lower(lung, 1 - share)
