"""Tell the volumes of one series apart that cover the same stretch of the body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import text
from pipeline.series.frames import MARKS, Frame
from pipeline.series.image_rules import SelectionRules, is_whole
from pipeline.series.in_turn import COUNTED, in_turn
from pipeline.series.positions import (
    ROUNDED_MM,
    SAME_POSITION_MM,
    Stack,
    by_position,
    precedence,
    stack,
    usual_marks,
)

MAX_ODD_SHARE = 0.05  #: of the images; as many slices may be missing (`positions`)
MIN_VOLUME_SHARE = 0.05  #: of the images: fewer with a value of their own are no volume
COVERED_SHARE = 0.5  #: of the shorter stretch, from which two groups show the same
STORED_AS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation"),
)
"""Attributes that say what stored values mean (PS3.3 C.7.6.3)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volumes:
    """Frames of a series, by the volume that they belong to.

    Attributes
    ----------
    groups
        The volumes, and frames of none.
    told_by
        Keywords of what tells them apart; empty for one volume.
    """

    groups: tuple[list[Frame], ...]
    told_by: tuple[str, ...] = ()


def separate(frames: list[Frame], rules: SelectionRules) -> Volumes:
    """Tell volumes of the same stretch apart, by their marks or by the order of their images.

    A mark tells volumes apart if frames with one value of it, and frames with another, cover the
    same stretch of the body. Where none does, images in the order of their numbers or times run
    through the body once for each volume.
    """
    doubled = collisions(frames) > MAX_ODD_SHARE * len(frames)
    found = None if doubled else _regular(frames)
    if found is not None:
        return _of_one_stack(found, frames, rules)
    marks = tuple(keyword for keyword in MARKS if _tells(_by_mark(keyword, frames), frames))
    if marks:
        volumes = _by_marks(marks, frames)
        if doubled or all(map(_is_regular, _large(volumes.groups, frames))):
            return volumes
    for name in ("InstanceNumber", "AcquisitionTime", "AcquisitionDateTime", "ContentTime"):
        order = partial(_order, name)
        if len(set(map(order, frames))) == 1:
            continue
        runs = _runs(sorted(frames, key=order))
        large = _large(runs, frames)
        again = any(cover(*pair) for pair in combinations(large, 2))
        if again and (doubled or all(map(_is_regular, large))):
            return Volumes(groups=runs, told_by=(name,))
    return Volumes(groups=(frames,))


def _of_one_stack(found: Stack, frames: list[Frame], rules: SelectionRules) -> Volumes:
    """Tell volumes apart that lie between each other's slices, as if they were one.

    A mark does so only if each of its parts is a whole chest: one reconstruction may state other
    values for some of its slices, or none. None is another value only where the numbers or times
    say as well that volumes lie in turn.
    """
    turns = {name: groups for name in COUNTED if (groups := in_turn(name, found))}
    marks = []
    for keyword in MARKS:
        parts = _by_mark(keyword, frames)
        if not turns:
            parts.pop("", None)
        if _tells(parts, frames) and all(
            is_whole(part, rules) for part in _large(tuple(parts.values()), frames)
        ):
            marks.append(keyword)
    if marks:
        return _by_marks(marks, frames)
    for name, groups in turns.items():
        beside = [[frame] for frame in found.duplicates]
        return Volumes(groups=(*groups, *beside), told_by=(name,))
    return Volumes(groups=(frames,))


def _by_marks(marks: Sequence[str], frames: Sequence[Frame]) -> Volumes:
    groups: dict[tuple[str, ...], list[Frame]] = {}
    for frame in frames:
        groups.setdefault(tuple(frame.marks[name] for name in marks), []).append(frame)
    return Volumes(groups=tuple(groups.values()), told_by=tuple(marks))


def _by_mark(keyword: str, frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    groups: dict[str, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.marks[keyword], []).append(frame)
    return groups


def _tells(groups: Mapping[str, list[Frame]], frames: Sequence[Frame]) -> bool:
    large = _large(tuple(groups.values()), frames)
    return any(cover(*pair) for pair in combinations(large, 2))


def _large(groups: Sequence[list[Frame]], frames: Sequence[Frame]) -> list[list[Frame]]:
    return [group for group in groups if len(group) >= max(2, MIN_VOLUME_SHARE * len(frames))]


def _heights(frames: Sequence[Frame]) -> list[float]:
    normal = frames[0].normal
    return sorted(float(frame.position @ normal) for frame in frames)


def cover(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Whether two groups show the same stretch of the body."""
    (low, *_, high), (bottom, *_, top) = (
        (heights[0], heights[-1]) for heights in (_heights(one), _heights(other))
    )
    shared = min(high, top) - max(low, bottom)
    shorter = min(high - low, top - bottom)
    return shared >= 0 if shorter < SAME_POSITION_MM else shared > COVERED_SHARE * shorter


def collisions(frames: Sequence[Frame]) -> int:
    """How many frames lie where another one lies."""
    return int(np.count_nonzero(np.diff(_heights(frames)) < SAME_POSITION_MM))


def _is_regular(frames: Sequence[Frame]) -> bool:
    """Whether frames form one volume without two images of one place."""
    found = _regular(frames)
    return found is not None and not found.duplicates


def _regular(frames: Sequence[Frame]) -> Stack | None:
    try:
        return stack(frames)
    except UnsuitableSeries:
        return None


def _order(name: str, frame: Frame) -> tuple[str, int]:
    return frame.marks.get(name, ""), frame.instance


def _runs(frames: Sequence[Frame]) -> tuple[list[Frame], ...]:
    """Cut frames where their way through the body turns, or stands still."""
    normal = frames[0].normal
    at = [float(frame.position @ normal) for frame in frames]
    usual = float(np.median(np.abs(np.diff(at)))) if len(at) > 1 else 0.0
    runs, way = [[frames[0]]], 0.0
    for frame, step in zip(frames[1:], np.diff(at), strict=True):
        on = abs(step) >= max(usual / 2, SAME_POSITION_MM) and step * way >= 0
        if on:
            runs[-1].append(frame)
            way = float(step)
        else:
            runs.append([frame])
            way = 0.0
    return tuple(runs)


def check_doubled(frames: Sequence[Frame]) -> None:
    """Refuse positions with unlike images between which nothing but a UID would choose.

    The same image twice leaves no choice. Many positions with unlike images are two volumes; of a
    few, one of another acquisition, number or technique is left out (`positions`).
    """
    many = collisions(frames) > MAX_ODD_SHARE * len(frames)
    usual = usual_marks(frames)
    doubled = 0
    for here in by_position(frames, frames[0].normal):
        best = min(here, key=lambda frame: precedence(frame, usual))
        rivals = here if many else [f for f in here if _ranks_like(f, best, usual)]
        others = [frame for frame in rivals if frame is not best]
        doubled += any(not _same_image(frame, best) for frame in others)
    if doubled:
        raise UnsuitableSeries(
            UnsuitableReason.TWO_VOLUMES,
            f"one image for each position expected, got two different ones or more for {doubled},"
            " and nothing tells their volumes apart",
        )


def _ranks_like(one: Frame, other: Frame, usual: Mapping[str, str]) -> bool:
    return precedence(one, usual) == precedence(other, usual)


def _same_image(one: Frame, other: Frame) -> bool:
    """Whether two frames are the same picture of the same place; without Pixel Data as far known.

    All is compared that makes Hounsfield units of stored values (PS3.3 C.7.6.3, C.11.1).
    """
    aside = float(np.abs(one.position - other.position).max())
    return (
        aside < ROUNDED_MM
        and _stored(one) == _stored(other)
        and _pixel_data(one) == _pixel_data(other)
    )


def _stored(frame: Frame) -> tuple[object, ...]:
    dataset = frame.dataset
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return (
        frame.number,
        frame.rescale,
        frame.pixel_mm,
        syntax,
        *(text(dataset, keyword) for keyword in STORED_AS),
    )


def _pixel_data(frame: Frame) -> object:
    return frame.dataset.get_item("PixelData").value if "PixelData" in frame.dataset else None
