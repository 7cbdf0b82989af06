"""Close and fill the lungs towards the pleura, so that opacities stay in.

Notches of a lung are vessels, nodules and opacities, as far as they are narrow. A wide one may as
well be the heart or the dome of the diaphragm: it is filled only if it holds the attenuation of an
opacity and opens towards the chest wall.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import Mask, Spacing, array_of, box_of, image_of
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG

NARROW_MM = 10.0  #: notches of a lung narrower than twice this are filled
WIDE_MM = 25.0  #: the same at the chest wall, where opacities touch it
CLOSING_OPACITY_HU = (-750, 110)  #: HU; a wide notch is filled where it holds this (our choice)
MEDIAL_SHARE = 0.4  #: of the half width of the chest: there wide notches are mediastinum

Image = NDArray[np.float64]


def filled(
    sides: NDArray[np.uint8],
    kept_out: Mask,
    hu: NDArray[np.int16],
    middle: float | None,
    spacing_mm: Spacing,
) -> NDArray[np.uint8]:
    """Close and fill each lung; neither takes from the other.

    Parameters
    ----------
    sides
        ``(slices, rows, columns)``, 1 right, 2 left, 3 of an open side, in the box of the lungs.
    kept_out
        Same shape: airways and bowel, which are never filled.
    hu
        Same shape.
    middle
        Column of the middle of the body in that box, which may lie outside it; the box's own
        middle, if unknown.
    """
    whole = sides.copy()
    _, rows, columns = sides.shape
    centre = (columns - 1) / 2 if middle is None else middle
    y, x = np.arange(rows)[:, None] - (rows - 1) / 2, np.arange(columns)[None] - centre
    medial = np.abs(x) < MEDIAL_SHARE * np.abs(x).max()
    opacity = (hu > CLOSING_OPACITY_HU[0]) & (hu < CLOSING_OPACITY_HU[1]) & ~medial
    outwards = np.hypot(y * spacing_mm[1], x * spacing_mm[2])
    for label in (RIGHT_LUNG, LEFT_LUNG, LUNG_OF_OPEN_SIDE):
        own = sides == label
        if own.any():
            box = box_of(own, (0, 0, 0))
            grown = _closed(own[box], opacity[box], outwards[box[1:]], spacing_mm)
            whole[box][grown & (whole[box] == 0) & ~kept_out[box]] = label
    return whole


def _closed(lung: Mask, opacity: Mask, outwards: Image, spacing_mm: Spacing) -> Mask:
    """Fill notches and holes of one lung."""
    closed = lung.copy()
    margin = [int(WIDE_MM / mm) + 2 for mm in spacing_mm[1:]]
    inner = tuple(slice(n, -n) for n in margin)
    for at in np.flatnonzero(lung.any(axis=(1, 2))):
        _, rows, columns = box_of(lung[at : at + 1], (0, 0, 0))
        image = np.pad(lung[at, rows, columns], [(n, n) for n in margin])
        away = _away(image, spacing_mm)
        narrow, wide = (_shrunk(away, mm, spacing_mm)[inner] for mm in (NARROW_MM, WIDE_MM))
        notches = wide & opacity[at, rows, columns] & ~narrow
        closed[at, rows, columns] = narrow | _at_wall(notches, narrow, outwards[rows, columns])
    return array_of(sitk.BinaryFillhole(image_of(closed, spacing_mm))).astype(bool)


def _at_wall(notches: Mask, lung: Mask, outwards: Image) -> Mask:
    """Those notches of a slice that open away from the middle of the chest.

    The heart opens towards the middle, and the dome of the diaphragm may be surrounded by lung.
    """
    labels, count = ndimage.label(notches, np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    for at, (rows, columns) in enumerate(ndimage.find_objects(labels)):
        part = (
            slice(max(0, rows.start - 1), rows.stop + 1),
            slice(max(0, columns.start - 1), columns.stop + 1),
        )
        notch = labels[part] == at + 1
        mouth = ndimage.binary_dilation(notch) & ~notch & ~lung[part]
        reach = outwards[part]
        kept[at + 1] = mouth.any() and reach[mouth].mean() > reach[notch].mean()
    at_wall: Mask = kept[labels]
    return at_wall


def _shrunk(away: Image, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Second half of a closing with a disc: back from the dilated outline."""
    return _away(away > radius_mm, spacing_mm) > radius_mm


def _away(image: Mask, spacing_mm: Spacing) -> Image:
    """Distance of each pixel to a mask, in the plane, mm."""
    away: Image = ndimage.distance_transform_edt(~image, sampling=spacing_mm[1:])
    return away
