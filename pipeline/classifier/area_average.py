"""Average voxels over the cells of a coarser grid: a low-pass and a resampling in one.

To take single values every 2.5 to 3 voxels folds noise and fine texture into what is left, another
pattern with every small change of a scan. The mean over a cell does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.floating[Any]]


def averaged(
    values: NDArray[np.generic], at: Places, width: float, *, axis: int
) -> NDArray[np.float32]:
    """Mean of cells along one axis.

    Parameters
    ----------
    values
        ``(slices, rows, columns)``; beyond the outermost voxels their values continue.
    at
        Middles of the cells, as fractional indices of voxel centres.
    width
        Of a cell, in voxels; one of less than a voxel counts as 1, which interpolates linearly.

    Returns
    -------
    NDArray
        float32, with ``len(at)`` cells along the axis.
    """
    weights = cell_weights(values.shape[axis], at, width)
    moved = np.moveaxis(values, axis, -1)
    means = moved.astype(np.float32, copy=False) @ weights.T
    return np.ascontiguousarray(np.moveaxis(means, -1, axis))


def cell_weights(count: int, at: Places, width: float) -> NDArray[np.float32]:
    """Share of each of ``count`` voxels in each cell: ``(len(at), count)``, each row sums to 1.

    Parameters as of `averaged`.
    """
    width = max(1.0, width)
    edges = np.arange(1, count) - 0.5  # between the voxels
    low, high = at[:, None] - width / 2, at[:, None] + width / 2
    covered = np.clip(edges, low, high)  # up to each edge, within the cell
    bounds = np.concatenate([low, covered, high], axis=1)
    weights: NDArray[np.float32] = (np.diff(bounds, axis=1) / width).astype(np.float32)
    return weights
