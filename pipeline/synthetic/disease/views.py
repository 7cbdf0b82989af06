"""What the painters of diseases work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Spacing = tuple[float, float, float]


@dataclass(slots=True, kw_only=True, eq=False)
class View:
    """A pair of lungs to paint on; the painters change it in place.

    Attributes
    ----------
    hu, lungs, lesions, depth_mm
        ``(planes, rows, columns)`` float32, feet to head; HU; masks 0..1; distance to the lungs'
        surface, 0 outside.
    spacing_mm
        Between voxel centres along each axis.
    """

    hu: Floats
    lungs: Floats
    lesions: Floats
    depth_mm: Floats
    spacing_mm: Spacing
