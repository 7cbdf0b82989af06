"""Segment the lungs by attenuation and connected components, without a network.

Air inside the body in large components, less bowel gas and airways, closed and filled towards
the pleura so that opacities stay in. The published method (-320 HU, largest component) made
robust; see Liao et al., IEEE TNNLS 2019, 10.1109/TNNLS.2019.2892409, for the steps it leaves out.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of
from pipeline.lungs.gas_outside_lungs import FREE_GAS_MAX_HU, bowel_gas
from pipeline.lungs.whole_lungs import whole_lungs

UNSUPERVISED_AIR_MAX_HU = -400
"""HU; darker voxels inside the body are aerated lung, ground glass included in part. Our choice;
the published method has -320."""
MIN_SHARE = 0.05  #: a component smaller than this share of the largest is no lung
MAX_GAS_SHARE = 0.6  #: of a component; bowel gas has more, lung with emphysema less


def segment_unsupervised(hu: NDArray[np.int16], spacing_mm: Spacing) -> NDArray[np.uint8]:
    """Lungs of a coarse volume; empty if nothing looks like a lung.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, feet to head, columns towards the patient's left.

    Returns
    -------
    NDArray[np.uint8]
        Same shape: 0 outside, 1 right, 2 left, 3 of an open side.
    """
    air = _without_bowel(air_inside(hu), hu, spacing_mm)
    if not air.any():
        return np.zeros(hu.shape, np.uint8)
    return whole_lungs(air, np.zeros(hu.shape, bool), hu, spacing_mm)


def air_inside(hu: NDArray[np.int16]) -> Mask:
    """Large components of air that reach no edge of the image and are not mere gas."""
    return _inner_parts(hu < UNSUPERVISED_AIR_MAX_HU, hu)


def _without_bowel(air: Mask, hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Air without what is bowel gas; what then hangs together no more is looked at anew."""
    if not air.any():
        return air
    box = box_of(air, (0, 4, 4))
    gas = bowel_gas(hu[box], spacing_mm) & air[box]
    if not gas.any():
        return air
    left = air.copy()
    left[box] &= ~gas
    return _inner_parts(left, hu)


def _inner_parts(air: Mask, hu: NDArray[np.int16]) -> Mask:
    """Large components that reach no edge in the plane and are not mere gas."""
    labels = array_of(sitk.ConnectedComponent(sitk.GetImageFromArray(air.view(np.uint8))))
    sizes = np.bincount(labels.ravel())
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        sizes[np.unique(edge)] = 0
    sizes[0] = 0
    kept = np.zeros(len(sizes), bool)
    for label in np.flatnonzero(sizes >= max(1, MIN_SHARE * sizes.max())):
        kept[label] = np.mean(hu[labels == label] < FREE_GAS_MAX_HU) <= MAX_GAS_SHARE
    inner: Mask = kept[labels]
    return inner
