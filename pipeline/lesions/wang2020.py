"""Localise lesions as Wang et al. 2020: patches of activation, one of which 3DCC chooses.

Kept to be compared with `pipeline.lesions.localise`. Source: their paper and code
(doi:10.1109/TMI.2020.2995965). Where the two differ the paper holds: the overlap is counted in
voxels, and the patch of activation is returned whole. Their activation is not confined to the
lungs, only by the gate on density.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.classifier.input import GREY_LEVELS, window

TOP_SHARE = 0.05  #: at most so many of the crop's voxels are active
BINS = 50  #: of the histogram that the level is read off
WANG2020_WINDOW_HU = (-1200.0, 600.0)  #: HU; mapped to 0 and 1, as in their code
DENSE_GREY = 75  #: of 255: active voxels that are not denser (about -664 HU) are dropped
END_SHARE = 0.2  #: of the planes at either end: the widest plane is not looked for there
MIN_AREA_SHARE = 0.4  #: of the largest area: planes further out are dropped
MAX_CANDIDATES = 9

Mask = NDArray[np.bool_]
Labels = NDArray[np.intp]
NEIGHBOURS = np.ones((3, 3, 3), np.bool_)  #: 26-connected


def candidates(activation: NDArray[np.float32], hu: NDArray[np.int16], lungs: Mask) -> Labels:
    """Patches of high activation: 1 for the largest and so on, at most `MAX_CANDIDATES`.

    Parameters
    ----------
    activation, hu, lungs
        ``(planes, rows, columns)`` of the box around the lungs; activation not negative, of any
        scale.
    """
    marked = top(activation) & (
        window(hu.astype(np.float32), WANG2020_WINDOW_HU) * GREY_LEVELS > DENSE_GREY
    )
    marked &= central(lungs)[:, None, None]
    return largest(marked, MAX_CANDIDATES)


def top(activation: NDArray[np.float32]) -> Mask:
    """Voxels above the level of a histogram that leaves at most `TOP_SHARE` of them."""
    low, high = float(activation.min()), float(activation.max())
    if high <= low:
        return np.zeros(activation.shape, np.bool_)
    grey = np.floor((activation - low) / (high - low) * GREY_LEVELS).astype(np.intp)
    bins = np.minimum(grey * BINS // GREY_LEVELS, BINS - 1)
    counts = np.bincount(bins.ravel(), minlength=BINS)
    passed = np.cumsum(counts[::-1])[::-1] > TOP_SHARE * activation.size
    upper_edge = (int(np.flatnonzero(passed)[-1]) + 1) * GREY_LEVELS // BINS
    above: Mask = grey > upper_edge
    return above


def central(lungs: Mask) -> Mask:
    """Planes around the widest in which the lungs still have some area, ``(planes,)``."""
    area = np.count_nonzero(lungs, axis=(1, 2))
    end = int(len(area) * END_SHARE)
    widest = end + int(area[end : len(area) - end].argmax())
    runs, _ = ndimage.label(area > MIN_AREA_SHARE * area.max())
    kept: Mask = (runs == runs[widest]) & (runs > 0)
    return kept


def largest(marked: Mask, count: int) -> Labels:
    """Label the 26-connected components, largest first, no more than ``count``."""
    labels, found = ndimage.label(marked, structure=NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=found + 1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[: min(count, found)]
    numbers = np.zeros(found + 1, np.intp)
    numbers[order] = np.arange(1, len(order) + 1)
    renumbered: Labels = numbers[labels]
    return renumbered


def chosen(labels: Labels, speckled: Mask) -> Mask:
    """Patch that shares most voxels with the 3DCC region; empty if none shares any."""
    shared = np.bincount(labels[speckled], minlength=1)
    shared[0] = 0
    if not shared.any():
        return np.zeros(labels.shape, np.bool_)
    patch: Mask = labels == shared.argmax()
    return patch
