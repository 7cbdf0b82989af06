"""Judge from headers alone whether the instances of a series are a whole, regular stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from storage.series.slices import HeldSlice

UNEVEN_SHARE = 0.01  #: of the spacing, by which a step may differ; as the analysis has it
ROUNDED_MM = 0.11  #: and at least this: some scanners write positions to 0.1 mm
FIRST_NUMBERS = frozenset({0, 1})  #: Instance Number of the first image of a series
LOOKED_AT = 4  #: parts of the stack, at whose ends somebody looks at a slice


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderStack:
    """A series, as its headers tell.

    Attributes
    ----------
    images
        Number of images, frames of a multi-frame instance counted one by one.
    announced
        How many the headers announce; None if they do not, or for several acquisitions.
    is_regular
        Parallel slices at even steps, numbered from 1 without a hole.
    is_whole_chest
        It has slices and extent enough to be analysed.
    looked_at
        Paths of the first slice, of some in between and of the last; empty if not regular.
    """

    images: int
    announced: int | None
    is_regular: bool
    is_whole_chest: bool
    looked_at: tuple[str, ...]


def header_stack(
    slices: Sequence[HeldSlice], *, min_slices: int, min_coverage_mm: float
) -> HeaderStack:
    """Judge the instances of a series that are here.

    Parameters
    ----------
    min_slices, min_coverage_mm
        Of a series that is analysed; a shorter one has no need to be closed early.
    """
    images = sum(part.facts.frames or 1 for part in slices)
    ascending = _ascending(slices)
    heights = [height for height, _ in ascending]
    coverage = heights[-1] - heights[0] if heights else 0.0
    long_enough = _is_multi_frame(slices) or coverage >= min_coverage_mm
    is_regular = _is_even(heights) and _is_numbered(slices)
    return HeaderStack(
        images=images,
        announced=_announced(slices),
        is_regular=is_regular,
        is_whole_chest=images >= min_slices and long_enough,
        looked_at=_looked_at([part.path for _, part in ascending]) if is_regular else (),
    )


def _is_multi_frame(slices: Sequence[HeldSlice]) -> bool:
    return any((part.facts.frames or 1) > 1 for part in slices)


def _ascending(slices: Sequence[HeldSlice]) -> list[tuple[float, HeldSlice]]:
    """Slices with their heights, the lowest first; none if they are not all of one plane."""
    placed = [
        (part.facts.height_mm, part)
        for part in slices
        if part.facts.plane and part.facts.height_mm is not None
    ]
    planes = {part.facts.plane for _, part in placed}
    if len(placed) < len(slices) or len(planes) != 1 or _is_multi_frame(slices):
        return []
    return sorted(placed, key=lambda pair: (pair[0], pair[1].sop_instance_uid))


def _is_even(heights: Sequence[float]) -> bool:
    steps = [above - below for below, above in pairwise(heights)]
    if not steps or (spacing := median(steps)) <= 0:
        return False
    tolerance = max(UNEVEN_SHARE * spacing, ROUNDED_MM)
    return spacing > tolerance and all(abs(step - spacing) <= tolerance for step in steps)


def _is_numbered(slices: Sequence[HeldSlice]) -> bool:
    """Tell whether each has an Instance Number of its own, and none is missing before the last."""
    numbers = {part.facts.instance_number for part in slices}
    known = {number for number in numbers if number is not None}
    if len(known) < len(slices) or min(known) not in FIRST_NUMBERS:
        return False
    return max(known) - min(known) + 1 == len(slices)


def _announced(slices: Sequence[HeldSlice]) -> int | None:
    """Read the number of images of the one acquisition, or of frames of the one instance."""
    if _is_multi_frame(slices):
        return slices[0].facts.frames if len(slices) == 1 else None
    said = {(part.facts.acquisition_number, part.facts.images_in_acquisition) for part in slices}
    if len(said) != 1:
        return None
    ((acquisition, announced),) = said
    return None if acquisition is None else announced


def _looked_at(paths: Sequence[str]) -> tuple[str, ...]:
    last = len(paths) - 1
    return tuple(dict.fromkeys(paths[last * part // LOOKED_AT] for part in range(LOOKED_AT + 1)))
