"""Stack slices by their positions, or refuse them. Pure geometry, no pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InvalidGeometry, UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.common_header import comparable
from pipeline.series.frames import MARKS, Frame, Vector
from pipeline.types import Gap
from pipeline.wording import examples, figure

MIN_AXIAL = 0.95  #: |z| of the slice normal: at most 18 degrees from axial
SAME_POSITION_MM = 0.01  #: nearer slices are duplicates; positions are written to 0.01 mm
UNEVEN_SHARE = 0.01  #: of the spacing: how far a step may be from a whole number of spacings
ROUNDED_MM = 0.11  #: and at least this: some scanners write positions to 0.1 mm, two make a step
MAX_TILT_DEGREES = 0.5  #: of shear: 2.6 mm over 300 mm of chest
MAX_MISSING_SHARE = 0.05  #: of all slices that may be interpolated
MAX_GAP_MM = 10.0  #: between the slices beside a gap; thick-slice chest CT has 5 to 10 mm
MAX_SLICES_AN_IMAGE = 3  #: beyond, missing slices are no way to describe the steps
SAME_DIRECTION = 1e-3  #: per direction cosine
SAME_PIXEL = 1e-3  #: relative, per pixel spacing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Frames in order, and where slices are missing.

    Attributes
    ----------
    frames
        One per slice feet to head; None for a missing slice.
    duplicates
        Frames left out because another has the same position.
    normal
        ``(3,)`` unit vector from one slice to the next.
    spacing_mm
        Distance between slices.
    """

    frames: tuple[Frame | None, ...]
    duplicates: tuple[Frame, ...]
    gaps: tuple[Gap, ...]
    normal: Vector
    spacing_mm: float


def stack(frames: Sequence[Frame]) -> Stack:
    """Put frames in order along the slice normal, feet to head.

    Raises
    ------
    UnsuitableSeries
        ``not-axial``, or ``too-few-slices`` if they are fewer than two.
    InvalidGeometry
        ``mixed-...``, ``gantry-tilt``, ``uneven-spacing``, ``off-axis`` or ``gap``.
    """
    if not frames:
        raise UnsuitableSeries(UnsuitableReason.TOO_FEW_SLICES, "2 slices or more expected, got 0")
    check_alike(frames)
    normal = frames[0].normal
    if abs(normal[2]) <= MIN_AXIAL:
        raise UnsuitableSeries(
            UnsuitableReason.NOT_AXIAL,
            f"slice normal within 18 degrees of z expected, got z of"
            f" {figure(float(normal[2]), MIN_AXIAL)}",
        )
    kept, duplicates = _without_duplicates(frames, normal)
    if len(kept) < 2:
        raise UnsuitableSeries(
            UnsuitableReason.TOO_FEW_SLICES, "2 positions or more expected, got 1"
        )
    _check_straight(kept, normal)
    steps, spacing = _steps(kept, normal)
    gaps = _gaps(kept, normal, steps)
    _check_step(kept, normal, int(steps.sum()) + 1)
    _check_gaps(gaps, int(steps.sum()) + 1, spacing)
    slots: list[Frame | None] = [None] * (int(steps.sum()) + 1)
    for at, frame in zip(np.cumsum([0, *steps]), kept, strict=True):
        slots[at] = frame
    return Stack(
        frames=tuple(slots),
        duplicates=tuple(duplicates),
        gaps=gaps,
        normal=normal,
        spacing_mm=spacing,
    )


def check_alike(frames: Sequence[Frame]) -> None:
    """Refuse frames that differ in orientation, size, pixel spacing or frame of reference.

    Raises
    ------
    InvalidGeometry
        ``mixed-orientation``, ``mixed-size``, ``mixed-pixel-spacing`` or
        ``mixed-frame-of-reference``.
    """
    for frame in frames:
        found = difference(frame, frames[0])
        if found is not None:
            code, text = found
            raise InvalidGeometry(code, f"one common value expected, got {text}")


def difference(frame: Frame, first: Frame) -> tuple[UnsuitableReason, str] | None:
    """Say in what two frames differ that one volume has once; None if they are alike.

    A frame of reference that is not stated is no other one.
    """
    turn = max(
        np.abs(frame.along_row - first.along_row).max(),
        np.abs(frame.along_column - first.along_column).max(),
    )
    if turn > SAME_DIRECTION:
        text = f"direction cosines {turn:.3f} apart"
        return UnsuitableReason.MIXED_ORIENTATION, text
    size, expected = (frame.rows, frame.columns), (first.rows, first.columns)
    if size != expected:
        return UnsuitableReason.MIXED_SIZE, f"rows, columns {expected} and {size}"
    zoom = max(abs(a / b - 1) for a, b in zip(frame.pixel_mm, first.pixel_mm, strict=True))
    if zoom > SAME_PIXEL:
        return UnsuitableReason.MIXED_PIXEL_SPACING, f"{first.pixel_mm} and {frame.pixel_mm}"
    own, common = (comparable(f.dataset, "FrameOfReferenceUID") for f in (frame, first))
    if own and common and own != common:
        return UnsuitableReason.MIXED_FRAME_OF_REFERENCE, "two Frame of Reference UIDs"
    return None


def _without_duplicates(frames: Sequence[Frame], normal: Vector) -> tuple[list[Frame], list[Frame]]:
    """One frame for each position, ascending; of several the one most like the others.

    Of equals the one of the lowest acquisition, then instance; of the same image the lowest UID.
    """
    usual = usual_marks(frames)
    kept: list[Frame] = []
    duplicates: list[Frame] = []
    for here in by_position(frames, normal):
        here.sort(key=lambda frame: (precedence(frame, usual), frame.sop_instance_uid))
        kept.append(here[0])
        duplicates += here[1:]
    return kept, duplicates


def by_position(frames: Sequence[Frame], normal: Vector) -> list[list[Frame]]:
    """Frames by the position that they share, ascending."""
    places: list[list[Frame]] = []
    for frame in sorted(frames, key=lambda frame: float(frame.position @ normal)):
        if places and _near(places[-1][0], frame, normal):
            places[-1].append(frame)
        else:
            places.append([frame])
    return places


def usual_marks(frames: Sequence[Frame]) -> dict[str, str]:
    """Most frequent value of every mark."""
    return {
        keyword: Counter(frame.marks[keyword] for frame in frames).most_common(1)[0][0]
        for keyword in MARKS
    }


def precedence(frame: Frame, usual: Mapping[str, str]) -> tuple[int, int, int]:
    """Rank of a frame among those of one position: how unlike the others, and how late."""
    unlike = sum(frame.marks[keyword] != value for keyword, value in usual.items())
    return unlike, frame.acquisition, frame.instance


def _near(one: Frame, other: Frame, normal: Vector) -> bool:
    return abs(float((other.position - one.position) @ normal)) < SAME_POSITION_MM


def _check_straight(frames: Sequence[Frame], normal: Vector) -> None:
    """Positions must follow the normal: else the gantry was tilted, or the table moved aside."""
    path = np.array([frame.position for frame in frames])
    whole = path[-1] - path[0]
    along = float(whole @ normal)
    aside = float(np.linalg.norm(whole - along * normal))
    degrees = float(np.degrees(np.arctan2(aside, along)))
    if degrees > MAX_TILT_DEGREES:
        stated = max(abs(frame.tilt) for frame in frames)
        raise InvalidGeometry(
            UnsuitableReason.GANTRY_TILT,
            f"positions along the slice normal expected, got"
            f" {figure(degrees, MAX_TILT_DEGREES, digits=1)} degrees off"
            f" (Gantry/Detector Tilt says {stated:.1f})",
        )
    offsets = path - path[0]
    lateral = offsets - np.outer(offsets @ normal, normal)
    drift = lateral - np.outer(offsets @ normal / along, whole - along * normal)
    worst = float(np.linalg.norm(drift, axis=1).max())
    widest = min(frames[0].pixel_mm)
    if worst > widest:
        raise InvalidGeometry(
            UnsuitableReason.OFF_AXIS,
            f"slices in one line expected, at most {widest:.2f} mm aside, got one"
            f" {figure(worst, widest, digits=1)} mm aside",
        )


def _steps(frames: Sequence[Frame], normal: Vector) -> tuple[NDArray[np.intp], float]:
    """Whole number of spacings from each frame to the next, and the spacing, mm."""
    heights = np.array([float(frame.position @ normal) for frame in frames])
    steps_mm = np.diff(heights)
    usual = float(np.median(steps_mm))
    steps = np.maximum(np.rint(steps_mm / usual), 1).astype(np.intp)
    spacing = float((heights[-1] - heights[0]) / steps.sum())
    tolerance = max(UNEVEN_SHARE * spacing, ROUNDED_MM)
    wrong = np.abs(steps_mm - steps * spacing) > tolerance
    if wrong.any():
        first = int(np.argmax(wrong))
        expected = f"{steps[first] * spacing:.3f}"
        got = figure(float(steps_mm[first]), float(expected), digits=3)
        others = examples([f"{heights[at]:.1f}" for at in np.flatnonzero(wrong)])
        raise InvalidGeometry(
            UnsuitableReason.UNEVEN_SPACING,
            f"even steps of {spacing:.3f} mm expected, got {int(wrong.sum())} of {len(steps)} off"
            f" that by more than {tolerance:.3f} mm, the first of {got} mm for {expected} mm"
            f" (after {others} mm)",
        )
    return steps, spacing


def _gaps(frames: Sequence[Frame], normal: Vector, steps: NDArray[np.intp]) -> tuple[Gap, ...]:
    places = np.cumsum([0, *steps])
    return tuple(
        Gap(
            after_slice=int(place),
            missing=int(step) - 1,
            position_mm=float(frame.position @ normal),
        )
        for frame, place, step in zip(frames, places, steps, strict=False)
        if step > 1
    )


def _check_step(frames: Sequence[Frame], normal: Vector, slices: int) -> None:
    """Refuse frames of which the most frequent step says nothing of the others."""
    if slices <= MAX_SLICES_AN_IMAGE * len(frames):
        return
    steps = np.diff([float(frame.position @ normal) for frame in frames])
    wide = float(steps.max()) > MAX_GAP_MM
    raise InvalidGeometry(
        UnsuitableReason.GAP if wide else UnsuitableReason.UNEVEN_SPACING,
        f"steps of one size expected, got steps from {steps.min():.2f} to {steps.max():.2f} mm",
    )


def _check_gaps(gaps: Sequence[Gap], slices: int, spacing: float) -> None:
    missing = sum(gap.missing for gap in gaps)
    widest = max(((gap.missing + 1) * spacing for gap in gaps), default=0.0)
    if missing <= MAX_MISSING_SHARE * slices and widest <= MAX_GAP_MM + SAME_POSITION_MM:
        return
    raise InvalidGeometry(
        UnsuitableReason.GAP,
        f"at most {MAX_MISSING_SHARE:.0%} of {slices} slices missing and no gap wider than"
        f" {MAX_GAP_MM:g} mm expected, got {describe(gaps)}",
    )


def describe(gaps: Sequence[Gap]) -> str:
    """Words for where slices are missing: the first three gaps, and how many more."""
    return examples(
        [
            f"{gap.missing} missing after slice {gap.after_slice + 1} (at {gap.position_mm:.1f} mm)"
            for gap in gaps
        ]
    )
