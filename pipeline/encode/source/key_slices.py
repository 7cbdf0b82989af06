"""Choose the source slice that shows a finding: the one that a viewer should jump to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.language.translation import _
from pipeline.encode.source.source_slices import SourceSlice, instance_number
from pipeline.types import Analysis, Lesion


def key_slice(
    analysis: Analysis, lesions: tuple[Lesion, ...], slices: tuple[SourceSlice, ...]
) -> SourceSlice | None:
    """Source slice nearest to the first lesion's key slice that shows any of the lesions.

    Returns
    -------
    SourceSlice | None
        None if all of them lie on interpolated slices only.
    """
    key = lesions[0].key_slice
    nearest = sorted(slices, key=lambda item: abs(item.index - key))
    return next((item for item in nearest if lesion_mask(analysis, lesions, item).any()), None)


def lesion_mask(
    analysis: Analysis, lesions: tuple[Lesion, ...], item: SourceSlice
) -> NDArray[np.bool_]:
    """Mask of the lesions on a slice, ``(rows, columns)``."""
    return np.isin(analysis.lesion_labels[item.index], [lesion.number for lesion in lesions])


def widest_slice(
    slices: tuple[SourceSlice, ...], labels: NDArray[np.uint8], value: int | None = None
) -> SourceSlice:
    """Source slice with the largest area of a label, or of all, ``(slices, rows, columns)``."""

    def area(item: SourceSlice) -> int:
        plane = labels[item.index]
        return int(np.count_nonzero(plane if value is None else plane == value))

    return max(slices, key=area)


def nearest_slice(slices: tuple[SourceSlice, ...], index: int) -> SourceSlice:
    """Source slice nearest to a slice of the volume, which may be interpolated."""
    return min(slices, key=lambda item: abs(item.index - index))


def middle_slice(slices: tuple[SourceSlice, ...], labels: NDArray[np.uint8]) -> SourceSlice:
    """Source slice nearest to half the height of what is labelled ``(slices, rows, columns)``."""
    taken = np.flatnonzero(labels.any(axis=(1, 2)))
    if not len(taken):
        return slices[len(slices) // 2]
    middle = (taken[0] + taken[-1]) / 2
    return min(slices, key=lambda item: abs(item.index - middle))


def image_name(item: SourceSlice) -> str:
    """Name of the slice for people: its Instance Number, or its frame in that instance."""
    number = instance_number(item)
    if number is None:
        image = _("slice {n} from below", n=item.index + 1)
    else:
        image = _("image {n}", n=number)
    frame = item.frame.frame_number
    return image if frame is None else _("{image}, frame {frame}", image=image, frame=frame)
