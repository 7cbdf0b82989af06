"""Turn stored values into Hounsfield units, in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST_HU = -1024  #: HU; padding and anything below become it: the air of a 12-bit scanner
HIGHEST_HU = 3071  #: HU; the densest a 12-bit scanner stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """The modality transformation of one slice (PS3.3 C.11.1, C.7.5.1.1.2).

    Attributes
    ----------
    slope, intercept
        ``HU = slope * stored + intercept``.
    padding
        Lowest and highest stored value that are no picture; None if there are none.
    """

    slope: float
    intercept: float
    padding: tuple[int, int] | None = None


def to_hounsfield(stored: NDArray[np.int16], rescale: Rescale, *, signed: bool) -> None:
    """Turn stored values into Hounsfield units, clipped to `LOWEST_HU` and `HIGHEST_HU`.

    Parameters
    ----------
    stored
        ``(rows, columns)`` int16, changed in place; the 16 bits are unsigned unless ``signed``.
    """
    values: NDArray[np.int16 | np.uint16] = stored if signed else stored.view(np.uint16)
    outside = None
    if rescale.padding is not None:
        outside = (values >= rescale.padding[0]) & (values <= rescale.padding[1])
    if rescale.slope == 1 and rescale.intercept.is_integer() and abs(rescale.intercept) < 2**31:
        _shift(stored, values, int(rescale.intercept))
    else:
        scaled = np.rint(values * rescale.slope + rescale.intercept)
        stored[...] = np.clip(scaled, LOWEST_HU, HIGHEST_HU)
    if outside is not None:
        stored[outside] = LOWEST_HU


def _shift(
    stored: NDArray[np.int16], values: NDArray[np.int16 | np.uint16], intercept: int
) -> None:
    """Add a whole intercept; stays in 16 bits: the values are clipped first so that they fit."""
    kind = np.iinfo(values.dtype)
    low, high = LOWEST_HU - intercept, HIGHEST_HU - intercept
    if low > kind.max or high < kind.min:
        stored[...] = LOWEST_HU if low > kind.max else HIGHEST_HU
        return
    np.clip(values, max(low, kind.min), min(high, kind.max), out=values)
    bits = stored.view(np.uint16)
    bits += np.uint16(intercept % 2**16)  # wraps round to the right 16 bits
