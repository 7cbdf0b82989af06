"""Leave a few frames out that lie beside a regular stack: off its line, off its steps, far away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.frames import MARKS, Frame, Vector
from pipeline.series.positions import (
    MAX_GAP_MM,
    ROUNDED_MM,
    SAME_POSITION_MM,
    UNEVEN_SHARE,
    stack,
)
from pipeline.series.separate_volumes import MAX_ODD_SHARE

Named = list[tuple[UnsuitableReason, Frame]]
MONITORED = 3  #: images of one position, from which they are no slice and its repetition
FEWEST = 10  #: frames, from which a few show what is usual


def without_monitoring(frames: list[Frame]) -> tuple[list[Frame], Named]:
    """Leave out acquisitions that stand still, as those that wait for the contrast agent.

    They are acquisitions of their own, at one of few positions that have several images.
    """
    ordered = sorted(frames, key=_height)
    heights = np.array([_height(frame) for frame in ordered])
    ends = np.flatnonzero(np.diff(heights) >= SAME_POSITION_MM) + 1
    here = np.split(np.arange(len(ordered)), ends)
    standing = {id(ordered[at]) for place in here if len(place) >= MONITORED for at in place}
    places = sum(len(place) >= MONITORED for place in here)
    if not places or places > MAX_ODD_SHARE * len(here):
        return frames, []
    moving = {f.marks["AcquisitionNumber"] for f in frames if id(f) not in standing}
    out = {
        id(frame)
        for frame in frames
        if id(frame) in standing and frame.marks["AcquisitionNumber"] not in {"", *moving}
    }
    return [f for f in frames if id(f) not in out], [
        (UnsuitableReason.TWO_VOLUMES, f) for f in frames if id(f) in out
    ]


def without_outliers(frames: list[Frame]) -> tuple[list[Frame], Named]:
    """Leave out what keeps frames from being one stack, if that is a few only.

    A slice among them leaves a gap, which is judged as any other. Of the ends nothing is left out
    that may hide a gap: only what lies nearer than the next slice, or farther than the whole
    stack is long.

    Parameters
    ----------
    frames
        Parallel ones, of one size; returned as they are if leaving out a few does not help.
    """
    if len(frames) < FEWEST or _is_stack(frames):
        return frames, []
    rest, odd = frames, Named()
    for code, find in (
        (UnsuitableReason.OFF_AXIS, _aside),
        (UnsuitableReason.BAD_POSITION, _far),
        (UnsuitableReason.UNEVEN_SPACING, _off_step),
    ):
        out = {id(frame) for frame in find(rest)}
        odd += [(code, frame) for frame in rest if id(frame) in out]
        rest = [frame for frame in rest if id(frame) not in out]
        if len(odd) > MAX_ODD_SHARE * len(frames):
            return frames, []
        if out and _is_stack(rest):
            return rest, odd
    return frames, []


def _is_stack(frames: Sequence[Frame]) -> bool:
    try:
        stack(frames)
    except UnsuitableSeries:
        return False
    return True


def _height(frame: Frame) -> float:
    return float(frame.position @ frame.normal)


def _heights(frames: Sequence[Frame], normal: Vector) -> NDArray[np.float64]:
    return np.array([float(frame.position @ normal) for frame in frames])


def _aside(frames: Sequence[Frame]) -> list[Frame]:
    """Frames more than a pixel off the line that most lie on: medians, which a few do not move."""
    normal = frames[0].normal
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    heights = _heights(frames, normal)
    lateral = np.array([frame.position for frame in frames]) - np.outer(heights, normal)
    half = len(frames) // 2
    apart = heights[half:] - heights[:-half]
    pairs = apart > SAME_POSITION_MM
    if not pairs.any():
        return []
    slopes = (lateral[half:] - lateral[:-half])[pairs] / apart[pairs, None]
    lateral -= np.outer(heights, np.median(slopes, axis=0))
    off = np.linalg.norm(lateral - np.median(lateral, axis=0), axis=1)
    return [frames[at] for at in np.flatnonzero(off > min(frames[0].pixel_mm))]


def _far(frames: list[Frame]) -> list[Frame]:
    """Frames farther from the longest run without a gap than that is long."""
    heights = _heights(frames, frames[0].normal)
    ordered = np.sort(heights)
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) > MAX_GAP_MM + SAME_POSITION_MM) + 1)
    longest = max(runs, key=len)
    low, high = longest[0], longest[-1]
    away = np.maximum(low - heights, heights - high)
    return [frames[at] for at in np.flatnonzero(away > high - low)]


def _off_step(frames: Sequence[Frame]) -> list[Frame]:
    """Frames that lie between the steps of the others; none if they may hide a gap at an end."""
    normal = frames[0].normal
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    heights = _heights(frames, normal)
    steps = np.diff(heights)
    usual = float(np.median(steps[steps >= SAME_POSITION_MM]))
    starts = range(int(MAX_ODD_SHARE * len(frames)) + 1)
    on = max((_chain(heights, start, usual) for start in starts), key=len)
    on = _better(frames, heights, on, usual)
    off = sorted(set(range(len(frames))) - set(on))
    low, high = heights[min(on)] - usual, heights[max(on)] + usual
    if any(not low < heights[at] < high for at in off):
        return []
    return [frames[at] for at in off]


def _tolerance(usual: float) -> float:
    return max(UNEVEN_SHARE * usual, ROUNDED_MM)


def _chain(heights: NDArray[np.float64], start: int, usual: float) -> list[int]:
    """Find the indices of heights that lie whole steps from one to the next."""
    on = [start]
    for at in range(start + 1, len(heights)):
        step = float(heights[at] - heights[on[-1]])
        whole = round(step / usual)
        if step < SAME_POSITION_MM or (whole and abs(step - whole * usual) <= _tolerance(usual)):
            on.append(at)
    return on


def _better(
    frames: Sequence[Frame], heights: NDArray[np.float64], on: list[int], usual: float
) -> list[int]:
    """Take, of frames nearer to each other than a step may be off, the one like the others.

    Of equals the one nearer to the line through all steps.
    """
    common = {k: Counter(f.marks[k] for f in frames).most_common(1)[0][0] for k in MARKS}
    places = np.cumsum([0, *np.rint(np.diff(heights[on]) / usual)])
    line = np.poly1d(np.polyfit(places, heights[on], 1))
    chosen = dict(zip(on, places, strict=True))

    def oddity(at: int, place: float) -> tuple[int, float]:
        unlike = sum(frames[at].marks[keyword] != value for keyword, value in common.items())
        return unlike, abs(float(heights[at] - line(place)))

    for at in sorted(set(range(len(frames))) - set(on)):
        rivals = [one for one in chosen if abs(heights[one] - heights[at]) <= _tolerance(usual)]
        if rivals and all(oddity(at, chosen[o]) < oddity(o, chosen[o]) for o in rivals):
            place = chosen[rivals[0]]
            for rival in rivals:
                del chosen[rival]
            chosen[at] = place
    return sorted(chosen)
