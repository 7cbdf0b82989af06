"""Find what is dense in the lungs and no lesion: it is not outlined, but must not be passed over.

Two kinds: candidates of lesions that have no vote (`pipeline.lesions.localise`), and solid bodies,
such as a mass beside the heart. These are no candidates near the mediastinum, where vessels are as
wide; from vessels they differ by being round with aerated lung about them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lesions.candidates import LESION_SOLID_MIN_HU
from pipeline.lesions.measure import ML_PER_MM3, one_side
from pipeline.lesions.region import Mask, Region
from pipeline.lesions.roundness import within_its_ball
from pipeline.lungs.coarse_grid import nearer_than
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, Change

# Our choice, by the solid bodies of six series (docs/tables/opacities.md).
CORE_MM = 5.0  #: of solid all around: the middle of what is more than 10 mm across
BODY_MM = 5.5  #: about that middle is the body; vessels that end in it reach further
RIM_MM = 7.5  #: about that middle is the body with its half-filled rim
BODY_SHARE = 0.8  #: of a body, within the ball of its volume
AERATED_SHARE = 0.6  #: of the voxels about a body, not solid: vessels go on, or touch others
WHOLE = np.ones((3, 3, 3), np.bool_)


def changes(
    dense: Mask, bodies: Mask, lesions: NDArray[np.uint8], region: Region, least_mm3: float
) -> tuple[Change, ...]:
    """Measure the candidates and the solid bodies that are no lesions, the largest first.

    Parameters
    ----------
    dense
        Of the region: candidates, as of `pipeline.lesions.candidates.patches`, and bodies.
    bodies
        As of `solid_bodies`.
    lesions
        As of `pipeline.lesions.localise.chosen`.
    least_mm3
        Smaller ones are left out, mm3.
    """
    rest = lesions == 0
    labels, _count = ndimage.label(dense & rest, structure=WHOLE)
    found = (
        _change(labels, number, place, bodies & rest, region)
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
    )
    least_ml = least_mm3 * ML_PER_MM3
    large = (change for change in found if change.volume_ml >= least_ml)
    return tuple(sorted(large, key=lambda change: -change.volume_ml))


def _change(
    labels: NDArray[np.intp], number: int, place: tuple[slice, ...], bodies: Mask, region: Region
) -> Change:
    part = labels[place] == number
    at = np.argwhere(part)
    voxel = (
        int(np.bincount(at[:, axis]).argmax()) + place[axis].start for axis in range(part.ndim)
    )
    slice_, row, column = voxel
    sides = np.bincount(region.sides[place][part], minlength=LEFT_LUNG + 1) / len(at)
    return Change(
        volume_ml=len(at) * float(np.prod(region.spacing_mm)) * ML_PER_MM3,
        side=one_side(float(sides[RIGHT_LUNG]), float(sides[LEFT_LUNG]), float(sides[1:].sum())),
        voxel=(slice_, row, column),
        solid=bool(bodies[place][part].any()),
    )


def solid_bodies(region: Region) -> Mask:
    """Mark what is solid, more than `CORE_MM` thick to each side, round, and has air about it."""
    mm = region.spacing_mm
    solid = region.lungs & (region.smooth_hu > LESION_SOLID_MIN_HU)
    marked = np.zeros_like(solid)
    if not solid.any() or solid.all():
        return marked
    dense = region.lungs & (region.smooth_hu > region.floor_hu)
    middles, _count = ndimage.label(solid & ~nearer_than(CORE_MM, ~solid, mm), structure=WHOLE)
    for number, place in _around(middles, RIM_MM, mm):
        middle = middles[place] == number
        body = solid[place] & nearer_than(BODY_MM, middle, mm)
        if _is_round(body, solid[place], mm):
            marked[place] |= dense[place] & nearer_than(RIM_MM, middle, mm)
    return marked


def _around(
    labels: NDArray[np.intp], reach_mm: float, mm: tuple[float, float, float]
) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Give each label, and the box of all that lies nearer to it than the reach."""
    margins = [int(reach_mm / along) + 2 for along in mm]
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        yield (
            number,
            tuple(
                slice(max(0, span.start - margin), span.stop + margin)
                for span, margin in zip(place, margins, strict=True)
            ),
        )


def _is_round(body: Mask, solid: Mask, mm: tuple[float, float, float]) -> bool:
    about = ndimage.binary_dilation(body, WHOLE) & ~body
    aerated = np.count_nonzero(about & ~solid) >= AERATED_SHARE * np.count_nonzero(about)
    return bool(aerated) and within_its_ball(body, mm) >= BODY_SHARE
