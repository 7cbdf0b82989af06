"""Grow lesions into the dense lung beside them that vessels and pleura had taken from them.

Candidates leave out vessels with the half-filled lung along them, and the surface of the lungs:
so an opacity that holds strands, or lies against the pleura, loses a part. Once chosen it gets
that back, slice by slice: where it does not lie it does not come to.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.lesions.candidates import CORE_SHARE, PATCH_MM
from pipeline.lesions.region import Labels, Region, gaussian
from pipeline.lungs.coarse_grid import box_of

# Our choice.
REACH_MM = 8.0  #: of growth, at most
REACH_SHARE = 0.5  #: of the radius of the ball of a lesion's volume: small ones grow less
LEAST_MM = 4.0  #: from the lesion that a lost part reaches: what reaches less is its faded edge
EDGES = np.ones((3, 3), np.bool_)


def grown(lesions: Labels, region: Region) -> Labels:
    """Grow lesions into what is dense and thick beside them, apart from the mediastinum.

    Parameters
    ----------
    lesions
        On the region's grid: 1, 2, ...; 0 where there is none.

    Returns
    -------
    NDArray
        The same lesions with the same numbers; none is smaller.
    """
    if not lesions.any():
        return lesions
    mm = region.spacing_mm
    dense = region.dense & ~region.hilum
    thick = dense & (gaussian(dense, PATCH_MM, mm) > CORE_SHARE)
    sizes = np.bincount(lesions.ravel()) * np.prod(mm)
    radii = np.cbrt(3 * sizes / (4 * np.pi))
    reach = np.minimum(REACH_MM, REACH_SHARE * radii)
    margin = (0, int(REACH_MM / mm[1]) + 2, int(REACH_MM / mm[2]) + 2)
    larger = np.zeros_like(lesions)
    for at in np.flatnonzero(lesions.any(axis=(1, 2))):
        place = (at, *box_of(lesions[at : at + 1] > 0, margin)[1:])
        marked, fit = lesions[place], thick[place]
        away, nearest = ndimage.distance_transform_edt(
            marked == 0, sampling=mm[1:], return_indices=True
        )
        own = marked[tuple(nearest)]
        near = fit & (away < reach[own])
        parts, _count = ndimage.label(near & (marked == 0), structure=EDGES)
        lost = np.unique(parts[away >= LEAST_MM])
        beside = np.unique(parts[ndimage.binary_dilation(marked > 0, EDGES)])
        back = np.isin(parts, np.intersect1d(lost, beside)) & (parts > 0)
        larger[place] = np.where(back, own, marked)
    return larger
