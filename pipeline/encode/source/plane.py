"""Write plane attributes with the decimal strings of the source, copied as they are.

Archives and viewers compare geometry as text; a value formatted anew may differ in its last
digit, and a result would no longer lie on its source.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.source import source_slices
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.source.value_representations import legal_form
from pipeline.series.frames import UNIT_LENGTH
from pipeline.types import CtSeries


def orientation(series: CtSeries, item: SourceSlice) -> list[str]:
    """Image Orientation (Patient) as the source wrote it; that of the grid where it did not."""
    written = source_slices.recorded(
        item.header, item.frame, "PlaneOrientationSequence", "ImageOrientationPatient"
    )
    return _as_written(written, source_slices.directions(series).ravel())


def pixel_spacing(series: CtSeries, item: SourceSlice) -> list[str]:
    """Pixel Spacing as the source wrote it; that of the grid where it did not."""
    written = source_slices.recorded(
        item.header, item.frame, "PixelMeasuresSequence", "PixelSpacing"
    )
    return _as_written(written, np.array(series.volume.spacing_mm[1:]))


def position(item: SourceSlice) -> list[str]:
    """Image Position (Patient) as the source wrote it; that in the grid where it did not."""
    written = source_slices.recorded(
        item.header, item.frame, "PlanePositionSequence", "ImagePositionPatient"
    )
    return _as_written(written, np.array(item.position))


def _as_written(written: Iterable[str], grid: NDArray[np.float64]) -> list[str]:
    """Strings of the source if they agree with the grid, else the grid formatted anew.

    A string that is no legal DS, of more than 16 characters for one (PS3.5 6.2), is written with
    as many digits as fit.

    The tolerance is the one within which the length of a direction counts as 1.
    """
    forms = [legal_form("DS", value) for value in written]
    legal = [form for form in forms if form]
    if len(legal) != len(grid) or len(forms) != len(grid):
        return source_slices.ds(grid)
    values = np.array(legal, dtype=np.float64)
    same = np.allclose(values, grid, rtol=UNIT_LENGTH, atol=UNIT_LENGTH)
    return legal if same else source_slices.ds(grid)
