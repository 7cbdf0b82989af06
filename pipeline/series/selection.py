"""Choose the images of a series that form one volume; leave the others out by rule, and say so.

A series may hold a localizer, a dose page, a second orientation, images of another size, or
whole volumes that cover the same stretch of the body (phases, kernels). One volume is taken as a
whole, or none: never a slice of this and a slice of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from pipeline.errors import InvalidGeometry, UnsuitableSeries
from pipeline.reasons import QualityFlag, UnsuitableReason
from pipeline.series.attributes import text
from pipeline.series.common_header import ONE_PATIENT, comparable
from pipeline.series.frames import MARKS, Frame
from pipeline.series.image_faults import frames_of_whole, judge, require_some
from pipeline.series.image_rules import SelectionRules, is_whole, not_an_original_slice
from pipeline.series.in_turn import check_in_turn
from pipeline.series.outliers import without_monitoring, without_outliers
from pipeline.series.positions import MIN_AXIAL, Stack, difference, stack
from pipeline.series.separate_volumes import MAX_ODD_SHARE, Volumes, check_doubled, cover, separate
from pipeline.types import Doubt, LeftOut
from pipeline.wording import examples, figure

UNLIKE = (UnsuitableReason.MIXED_PIXEL_SPACING, "two that differ a little")

MAY_BE_SLICES = frozenset(
    {
        UnsuitableReason.MIXED_SIZE,
        UnsuitableReason.MIXED_ORIENTATION,
        UnsuitableReason.MIXED_PIXEL_SPACING,
        UnsuitableReason.MIXED_FRAME_OF_REFERENCE,
        UnsuitableReason.TWO_VOLUMES,
        UnsuitableReason.MISSING_ATTRIBUTE,
        UnsuitableReason.BAD_ORIENTATION,
        UnsuitableReason.BAD_SPACING,
        UnsuitableReason.BAD_POSITION,
        UnsuitableReason.BAD_RESCALE,
        UnsuitableReason.NOT_HOUNSFIELD,
        UnsuitableReason.PIXEL_DATA,
        UnsuitableReason.OFF_AXIS,
        UnsuitableReason.UNEVEN_SPACING,
    }
)
"""Rules that leave out images which lie like slices of a chest, or may be such with a fault."""

OF_A_RECONSTRUCTION = frozenset(
    {
        *("ConvolutionKernel", "ReconstructionDiameter", "FilterType", "SliceThickness"),
        *("ImageType", "SeriesNumber", "SeriesDescription", "ContentTime"),
    }
)
"""Marks in which reconstructions of one acquisition differ: each shows the same. Volumes that
differ in others show the patient at other times, or at another energy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The images of a series that form one volume.

    Attributes
    ----------
    left_out
        The others, by the rule that left them out; duplicates are in the stack.
    chosen_of
        Which volume was taken, of how many; empty if there is one.
    """

    stack: Stack
    left_out: tuple[LeftOut, ...] = ()
    chosen_of: str = ""


def select(datasets: Sequence[Dataset], rules: SelectionRules) -> Selection:
    """Choose the images that form one volume.

    Parameters
    ----------
    datasets
        One per instance, with or without Pixel Data, in any order.

    Raises
    ------
    UnsuitableSeries
        ``no-instances``; the rule that all images break; ``mixed-identity``; ``not-axial``;
        ``two-volumes``, if nothing says which one is meant; what an attribute lacks.
    InvalidGeometry
        If what is left is not one regular stack.
    """
    if not datasets:
        raise UnsuitableSeries(UnsuitableReason.NO_INSTANCES, "1 instance or more expected, got 0")
    slices, apart, undecided = judge(datasets, rules)
    _check_identity(datasets)
    read, faulty = frames_of_whole(slices, undecided)
    frames, others = _by_kind(read, rules)
    frames, odd = _alike(frames, rules)
    frames, monitoring = without_monitoring(frames)
    frames, outliers = without_outliers(frames)
    volumes = separate(frames, rules)
    chosen, why = _choose(volumes, rules)
    chosen, beside = without_outliers(chosen)
    check_doubled(chosen)
    check_in_turn(chosen, rules)
    strays = [*others, *odd, *monitoring, *outliers, *beside]
    aside = {id(frame) for frame in chosen} | {id(frame) for _, frame in beside}
    rest = [frame for volume in volumes.groups for frame in volume if id(frame) not in aside]
    named = [
        *((code, text(dataset, "SOPInstanceUID")) for code, dataset in (*apart, *faulty)),
        *((code, frame.sop_instance_uid) for code, frame in strays),
        *((UnsuitableReason.TWO_VOLUMES, frame.sop_instance_uid) for frame in rest),
    ]
    try:
        whole = stack(chosen)
    except UnsuitableSeries as error:
        raise type(error)(error.code, error.text + _besides(_left_out(named))) from error
    return Selection(stack=whole, left_out=_left_out(named), chosen_of=why)


def _check_identity(datasets: Sequence[Dataset]) -> None:
    for keyword in ONE_PATIENT:
        values = {comparable(dataset, keyword) for dataset in datasets} - {""}
        if len(values) > 1:
            raise UnsuitableSeries(
                UnsuitableReason.MIXED_IDENTITY, f"One {keyword} expected, got {len(values)}"
            )


Named = list[tuple[UnsuitableReason, Frame]]


def _by_kind(frames: Sequence[Frame], rules: SelectionRules) -> tuple[list[Frame], Named]:
    """Frames of multi-frame images that may be slices, and the others."""
    kept: list[Frame] = []
    others: Named = []
    reasons = []
    for frame in frames:
        reason = not_an_original_slice(frame.kinds, rules) if frame.number else None
        if reason is None:
            kept.append(frame)
        else:
            reasons.append(reason)
            others.append((reason.code, frame))
    require_some(kept, reasons)
    return kept, others


def _alike(frames: Sequence[Frame], rules: SelectionRules) -> tuple[list[Frame], Named]:
    """Find the largest group of parallel axial frames of one size, and the odd ones beside it.

    Frames across the others show another view. Frames that lie like the others may be a part of
    the chest: only a few are left out, or those that show the same stretch once more.

    Raises
    ------
    UnsuitableSeries
        ``not-axial`` if no frame is axial; ``two-volumes`` if a second group is a whole volume of
        another time or energy.
    InvalidGeometry
        ``mixed-...``, if the frames beside the group may be a part of the volume.
    """
    groups: list[list[Frame]] = []
    for frame in frames:
        home = next((group for group in groups if difference(frame, group[0]) is None), None)
        groups.append([frame]) if home is None else home.append(frame)
    axial = [group for group in groups if abs(group[0].normal[2]) > MIN_AXIAL]
    if not axial:
        steepest = max(abs(float(frame.normal[2])) for frame in frames)
        raise UnsuitableSeries(
            UnsuitableReason.NOT_AXIAL,
            f"axial slices expected, got a slice normal with z of {figure(steepest, MIN_AXIAL)}",
        )
    main = min(axial, key=_rank)
    across = [frame for group in groups if group not in axial for frame in group]
    beside = [group for group in axial if group is not main]
    odd: Named = [(UnsuitableReason.NOT_AXIAL, frame) for frame in across]
    few = sum(map(len, beside)) <= MAX_ODD_SHARE * len(frames)
    for group in beside:
        code, text = difference(group[0], main[0]) or UNLIKE
        _check_same_time(main, group, rules)
        again = code is not UnsuitableReason.MIXED_FRAME_OF_REFERENCE and cover(main, group)
        if not few and not again:
            raise InvalidGeometry(
                code, f"one common value expected, got {text}, in {len(group)} images"
            )
        odd += [(code, frame) for frame in group]
    return main, odd


def _check_same_time(main: list[Frame], group: list[Frame], rules: SelectionRules) -> None:
    """Refuse two whole volumes, unlike in size or place, of another time or energy."""
    values = [
        {name: {frame.marks[name] for frame in part} for name in MARKS} for part in (main, group)
    ]
    told_by = [
        name
        for name in MARKS
        if name not in OF_A_RECONSTRUCTION and values[0][name].isdisjoint(values[1][name])
    ]
    if told_by and _is_whole(main, rules) and _is_whole(group, rules):
        raise _two_volumes(told_by, [main, group])


def _two_volumes(told_by: Sequence[str], whole: Sequence[Sequence[Frame]]) -> UnsuitableSeries:
    sizes = examples([str(len(group)) for group in whole])
    return UnsuitableSeries(
        UnsuitableReason.TWO_VOLUMES,
        f"one volume expected, got {len(whole)}, told apart by {examples(told_by)}, of {sizes}"
        " images",
    )


def _choose(volumes: Volumes, rules: SelectionRules) -> tuple[list[Frame], str]:
    """Choose a volume, and say which of how many.

    The only one that is a whole chest; of several reconstructions of one acquisition the first.

    Raises
    ------
    UnsuitableSeries
        ``two-volumes``, if several of other times or energies are whole, or only all together.
    """
    groups = sorted(volumes.groups, key=_rank)
    if len(groups) == 1:
        return groups[0], ""
    whole = [group for group in groups if _is_whole(group, rules)]
    told_by = f"told apart by {examples(volumes.told_by)}"
    if len(whole) > 1 and not set(volumes.told_by) <= OF_A_RECONSTRUCTION:
        raise _two_volumes(volumes.told_by, whole)
    every = [frame for group in groups for frame in group]
    if not whole and _is_whole(every, rules):
        raise _two_volumes(volumes.told_by, [group for group in groups if len(group) > 1])
    if not whole:
        largest = max(groups, key=len)
        return largest, f"the largest of {len(groups)} parts, {told_by}"
    why = "the first" if len(whole) > 1 else "the only whole one"
    return whole[0], f"{why} of {len(groups)} volumes of the same stretch, {told_by}"


def _rank(frames: Sequence[Frame]) -> tuple[object, ...]:
    """Order of volumes: original ones, those with the most images, then the first."""
    return (
        frames[0].kinds[0] != "ORIGINAL",
        -len(frames),
        min(frame.acquisition for frame in frames),
        min(frame.instance for frame in frames),
        min(frame.sop_instance_uid for frame in frames),
    )


def _is_whole(frames: Sequence[Frame], rules: SelectionRules) -> bool:
    return is_whole(without_outliers(list(frames))[0], rules)


def _left_out(named: Sequence[tuple[UnsuitableReason, str]]) -> tuple[LeftOut, ...]:
    codes = dict.fromkeys(code for code, _ in named)
    return tuple(
        LeftOut(
            code=code,
            images=sum(other == code for other, _ in named),
            sop_instance_uids=tuple(dict.fromkeys(uid for other, uid in named if other == code)),
        )
        for code in codes
    )


def left_out_doubts(left_out: Sequence[LeftOut]) -> Iterator[Doubt]:
    """Doubt a series of which images that may be slices were left out."""
    slices = [part for part in left_out if part.code in MAY_BE_SLICES]
    if slices:
        yield Doubt(code=QualityFlag.IMAGES_LEFT_OUT, text=describe_left_out(slices))


def _besides(left_out: Sequence[LeftOut]) -> str:
    return f" ({describe_left_out(left_out)})" if left_out else ""


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """Words for what was left out, as ``2 images left out: 1 localizer, 1 not-ct``."""
    count = sum(part.images for part in left_out)
    parts = examples([f"{part.images} {part.code}" for part in left_out])
    return f"{count} image{'s' * (count != 1)} left out: {parts}"
