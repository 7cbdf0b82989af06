"""Close and fill the lungs towards the pleura, so that opacities stay in.

Notches of a lung are vessels, nodules and opacities, as far as they are narrow. A wide one may as
well be the heart or the dome of the diaphragm: it is filled only if it holds the attenuation of an
opacity and opens towards the chest wall.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.coarse_grid import (
    Mask,
    Spacing,
    array_of,
    box_of,
    image_of,
    near_in_plane,
)
from pipeline.side_by_side import both
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG

NARROW_MM = 10.0  #: notches of a lung narrower than twice this are filled
WIDE_MM = 25.0  #: the same at the chest wall, where opacities touch it
CLOSING_OPACITY_HU = (-750, 110)  #: HU; a wide notch is filled where it holds this (our choice)
MEDIAL_SHARE = 0.4  #: of the half width of the chest: there wide notches are mediastinum

Image = NDArray[np.float64]
Box = tuple[slice, slice, slice]


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

    def closed(label: int) -> tuple[Box, Mask] | None:
        own = sides == label
        if not own.any():
            return None
        box = box_of(own, (0, 0, 0))
        return box, _closed(own[box], opacity[box], outwards[box[1:]], spacing_mm)

    right, left = both(partial(closed, RIGHT_LUNG), partial(closed, LEFT_LUNG))
    for label, grown in (
        (RIGHT_LUNG, right),
        (LEFT_LUNG, left),
        (LUNG_OF_OPEN_SIDE, closed(LUNG_OF_OPEN_SIDE)),
    ):
        if grown is not None:
            box, mask = grown
            whole[box][mask & (whole[box] == 0) & ~kept_out[box]] = label
    return whole


def _closed(lung: Mask, opacity: Mask, outwards: Image, spacing_mm: Spacing) -> Mask:
    """Fill notches and holes of one lung, within its box."""
    pixel_mm = spacing_mm[1:]
    margin = [int(WIDE_MM / mm) + 2 for mm in pixel_mm]
    padded = np.pad(lung, [(0, 0), *((n, n) for n in margin)])
    inner = (slice(None), *(slice(n, -n) for n in margin))
    narrow, wide = (_closed_with_disc(padded, mm, pixel_mm)[inner] for mm in (NARROW_MM, WIDE_MM))
    notches = wide & opacity & ~narrow
    for at in np.flatnonzero(notches.any(axis=(1, 2))):
        _, rows, columns = box_of(lung[at : at + 1], (0, 0, 0))
        inside = (at, rows, columns)
        notches[inside] = _at_wall(notches[inside], narrow[inside], outwards[rows, columns])
    closed = narrow | notches
    return array_of(sitk.BinaryFillhole(image_of(closed, spacing_mm))).astype(bool)


def _closed_with_disc(padded: Mask, radius_mm: float, pixel_mm: tuple[float, float]) -> Mask:
    """Dilate each slice with a disc, and take as much away again; the margin is wider than it."""
    dilated = near_in_plane(padded, radius_mm, pixel_mm)
    return ~near_in_plane(~dilated, radius_mm, pixel_mm)


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
