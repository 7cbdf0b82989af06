"""Tell a picture of lungs from pixels without order: neighbours are alike in the former.

Vessels, bronchi and opacities are wider than a pixel of the network; noise is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

PAIRS = 100  #: fewer pairs of neighbours say nothing


def neighbour_correlation(grey: NDArray[np.float32], lungs: NDArray[np.bool_]) -> float:
    """Correlation of the grey of pixels of the lungs with their neighbours in the plane.

    Those at the edge of the lungs are left out: what lies beside it makes neighbours alike.

    Parameters
    ----------
    grey, lungs
        ``(planes, rows, columns)``: what the classifier sees.

    Returns
    -------
    float
        -1 to 1; NaN where there are less than `PAIRS`, or all are alike.
    """
    lungs = ndimage.binary_erosion(lungs, np.ones((1, 3, 3), np.bool_))
    down = lungs[:, :-1] & lungs[:, 1:]
    across = lungs[:, :, :-1] & lungs[:, :, 1:]
    one = np.concatenate([grey[:, :-1][down], grey[:, :, :-1][across]])
    other = np.concatenate([grey[:, 1:][down], grey[:, :, 1:][across]])
    if len(one) < PAIRS or not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
