"""The lungs by attenuation and connected components, with no network.

Air inside the body in large components, less bowel gas and airways, closed and filled towards
the pleura so that opacities stay in. The published method (-320 HU, largest component) made
robust; see Liao et al., IEEE TNNLS 2019, 10.1109/TNNLS.2019.2892409, for the steps it leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lung_airways import airways_of
from pipeline.lung_grid import Mask, Spacing, array_of, box_of, image_of
from pipeline.lung_sides import sides_of
from pipeline.types import LEFT_LUNG, RIGHT_LUNG

AIR_HU = -400  #: upper bound of aerated lung, ground glass included in part
MIN_SHARE = 0.05  #: a component smaller than this share of the largest is no lung
FREE_GAS_HU = -950  #: below: free gas, or emphysema
MAX_GAS_SHARE = 0.6  #: of a component; bowel gas has more, lung with emphysema less
BOWEL_GAS_HU = -930  #: smoothed attenuation of gas in stomach and bowel
GAS_MEAN_HU = -965  #: mean of a pocket: gas measures -1000 to -970, the airiest lung -940
LOWER_SHARE = 0.55  #: of the height of the lungs, from below: above, gas is tracheal
BOWEL_GAS_ML = 5.0  #: smaller pockets of gas join nothing to the lungs
WALL_HU = -300  #: denser voxels round a pocket of gas are its wall
WALL_MM = 4.5  #: how far from the gas its wall is looked for
WALL_SHARE = 0.6  #: of the surroundings; a bulla has lung round it instead
NARROW_MM = 10.0  #: notches of a lung narrower than twice this are filled
WIDE_MM = 18.0  #: the same at the chest wall, where opacities touch it
OPACITY_HU = (-750, 110)  #: what a wide notch may hold
MEDIAL_SHARE = 0.4  #: of the half width of the chest: there wide notches are mediastinum


def segment_unsupervised(hu: NDArray[np.int16], spacing_mm: Spacing) -> NDArray[np.uint8]:
    """Lungs of a coarse volume; empty if nothing looks like a lung.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, feet to head, columns towards the patient's left.

    Returns
    -------
    NDArray[np.uint8]
        Same shape: 0 outside, 1 right, 2 left.
    """
    air = _air_inside(hu, spacing_mm)
    labels = np.zeros(hu.shape, np.uint8)
    if not air.any():
        return labels
    airways = airways_of(hu, air, spacing_mm)
    box = box_of(air, (0, 0, 0))
    sides = sides_of((air & ~airways)[box], spacing_mm)
    labels[box] = filled(sides, airways[box], hu[box], spacing_mm)
    return labels


def _air_inside(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Large components of air that reach no edge of the image and are not bowel gas."""
    air = _inner_parts(hu < AIR_HU, hu)
    if not air.any():
        return air
    box = box_of(air, (0, 4, 4))
    gas = _bowel_gas(hu[box], spacing_mm) & air[box]
    if gas.any():
        air[box] &= ~gas
        air = _inner_parts(air, hu)
    return air


def _inner_parts(air: Mask, hu: NDArray[np.int16]) -> Mask:
    """Large components that reach no edge in the plane and are not mere gas."""
    labels = array_of(sitk.ConnectedComponent(sitk.GetImageFromArray(air.view(np.uint8))))
    sizes = np.bincount(labels.ravel())
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        sizes[np.unique(edge)] = 0
    sizes[0] = 0
    kept = np.zeros(len(sizes), bool)
    for label in np.flatnonzero(sizes >= max(1, MIN_SHARE * sizes.max())):
        kept[label] = np.mean(hu[labels == label] < FREE_GAS_HU) <= MAX_GAS_SHARE
    inner: Mask = kept[labels]
    return inner


def _bowel_gas(hu: NDArray[np.int16], spacing_mm: Spacing) -> Mask:
    """Pockets of free gas with a wall of their own in the lower half, with that wall.

    Where the diaphragm is thinner than a voxel, gas below it hangs together with the lung.
    """
    found = np.zeros(hu.shape, bool)
    lower = hu[: int(len(hu) * LOWER_SHARE)]
    gas = ndimage.uniform_filter(lower, size=3) < BOWEL_GAS_HU
    labels = array_of(sitk.ConnectedComponent(sitk.GetImageFromArray(gas.view(np.uint8))))
    sizes = np.bincount(labels.ravel()) * np.prod(spacing_mm) / 1000
    reach = [max(1, round(WALL_MM / 2 / mm)) for mm in spacing_mm]
    for at, place in enumerate(ndimage.find_objects(labels)):
        if place is not None and sizes[at + 1] >= BOWEL_GAS_ML:
            around = _widened(place, [2 * n for n in reach])
            walled = _walled(labels[around] == at + 1, lower[around], reach)
            found[: len(lower)][around] |= walled
    return found


def _widened(place: tuple[slice, ...], margin: Sequence[int]) -> tuple[slice, ...]:
    """Widen a box to all sides, as far as there are voxels."""
    return tuple(
        slice(max(0, span.start - n), span.stop + n) for span, n in zip(place, margin, strict=True)
    )


def _walled(pocket: Mask, hu: NDArray[np.int16], reach: Sequence[int]) -> Mask:
    """Return a pocket of gas with its surroundings if these are a wall, else nothing."""
    wide = _dilated(pocket, [2 * n for n in reach])
    wall = wide & ~_dilated(pocket, reach)
    walled = np.mean(hu[wall] > WALL_HU) >= WALL_SHARE
    return wide if walled and np.mean(hu[pocket]) <= GAS_MEAN_HU else np.zeros_like(wide)


def filled(
    sides: NDArray[np.uint8], airways: Mask, hu: NDArray[np.int16], spacing_mm: Spacing
) -> NDArray[np.uint8]:
    """Close and fill each lung; neither takes from the other, nor from the airways.

    Parameters
    ----------
    sides
        ``(slices, rows, columns)``, 1 right, 2 left, in the box of the lungs.
    airways, hu
        Same shape.
    """
    whole = sides.copy()
    across = np.abs(np.linspace(-1, 1, sides.shape[2])) >= MEDIAL_SHARE
    opacity = (hu > OPACITY_HU[0]) & (hu < OPACITY_HU[1]) & across
    for label in (RIGHT_LUNG, LEFT_LUNG):
        own = sides == label
        if own.any():
            box = box_of(own, (0, 0, 0))
            grown = _closed(own[box], opacity[box], spacing_mm)
            whole[box][grown & (whole[box] == 0) & ~airways[box]] = label
    return whole


def _closed(lung: Mask, opacity: Mask, spacing_mm: Spacing) -> Mask:
    """Fill notches and holes of one lung; wide notches only where they hold opacity."""
    closed = lung.copy()
    margin = [int(WIDE_MM / mm) + 2 for mm in spacing_mm[1:]]
    inner = tuple(slice(n, -n) for n in margin)
    for at in np.flatnonzero(lung.any(axis=(1, 2))):
        _, rows, columns = box_of(lung[at : at + 1], (0, 0, 0))
        image = np.pad(lung[at, rows, columns], [(n, n) for n in margin])
        away = _away(image, spacing_mm)
        narrow, wide = (_shrunk(away, mm, spacing_mm)[inner] for mm in (NARROW_MM, WIDE_MM))
        closed[at, rows, columns] = narrow | (wide & opacity[at, rows, columns])
    return array_of(sitk.BinaryFillhole(image_of(closed, spacing_mm))).astype(bool)


def _shrunk(away: NDArray[np.float64], radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Second half of a closing with a disc: back from the dilated outline."""
    return _away(away > radius_mm, spacing_mm) > radius_mm


def _away(image: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """Distance of each pixel to a mask, in the plane, mm."""
    away: NDArray[np.float64] = ndimage.distance_transform_edt(~image, sampling=spacing_mm[1:])
    return away


def _dilated(mask: Mask, reach: Sequence[int]) -> Mask:
    """Dilate with a box that reaches so many voxels to each side."""
    size = [2 * n + 1 for n in reach]
    grown: NDArray[np.uint8] = ndimage.maximum_filter(mask.view(np.uint8), size=size)
    return grown.astype(bool)
