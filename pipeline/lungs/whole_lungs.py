"""Make lungs of the air inside the chest: airways out, right and left told apart, opacities in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.airways import airways_of, trachea_is_below
from pipeline.lungs.coarse_grid import Mask, Spacing, box_of
from pipeline.lungs.midline import middle_of_body, middle_of_trachea, spine_is_in_front
from pipeline.lungs.morphological_closing import filled
from pipeline.lungs.sides import sides_of


def whole_lungs(
    air: Mask, other_gas: Mask, hu: NDArray[np.int16], spacing_mm: Spacing
) -> NDArray[np.uint8]:
    """Labels of the lungs.

    Parameters
    ----------
    air
        ``(slices, rows, columns)``, coarse grid, feet to head: aerated lung, airways included;
        not empty.
    other_gas
        Same shape: gas that is never filled, as bowel's.
    hu
        Same shape, columns towards the patient's left.

    Returns
    -------
    NDArray[np.uint8]
        Same shape: 0 outside, 1 right, 2 left, 3 of an open side.
    """
    middle = middle_of_body(hu, spacing_mm)
    airways = airways_of(hu, air, middle, spacing_mm)
    box = box_of(air, (0, 0, 0))
    beside = [
        column - box[2].start
        for column in (middle, middle_of_trachea(airways))
        if column is not None
    ]
    if contradicts_orientation(hu, air, airways, middle, spacing_mm):
        beside = []
    sides = sides_of((air & ~airways)[box], beside, spacing_mm)
    kept_out = (airways | other_gas)[box]
    between = None if middle is None else middle - box[2].start
    labels = np.zeros(air.shape, np.uint8)
    labels[box] = filled(sides, kept_out, hu[box], between, spacing_mm)
    return labels


def contradicts_orientation(
    hu: NDArray[np.int16], air: Mask, airways: Mask, middle: float | None, spacing_mm: Spacing
) -> bool:
    """Say whether spine or trachea lie where the front or the feet are said to be.

    Image Orientation (Patient) follows Patient Position (PS3.3 C.7.3.1.1.2), which a person
    enters.

    Parameters
    ----------
    air
        Lung; not empty.
    airways, middle
        As of `pipeline.lungs.airways.airways_of` and `pipeline.lungs.midline.middle_of_body`.
    """
    if middle is None:
        return False
    return spine_is_in_front(hu, airways, spacing_mm) or trachea_is_below(
        hu, air, middle, spacing_mm
    )
