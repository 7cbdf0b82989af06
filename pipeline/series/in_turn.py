"""Find volumes whose slices lie in turn: one of this, one of that, as if they were one stack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.errors import InvalidGeometry, UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.frames import Frame
from pipeline.series.image_rules import SelectionRules, is_whole
from pipeline.series.positions import MAX_GAP_MM, Stack, by_position, stack

COUNTED = ("InstanceNumber", "AcquisitionTime", "AcquisitionDateTime")
"""Attributes that grow, or fall, from slice to slice of one volume."""
MAX_VOLUMES = 4  #: in turn; more phases lie at the same positions
COUNTED_ON = 0.85  #: of the slices of a volume; some may be missing
CLUSTERS_APART = 3.0  #: times: steps within a pair, and from pair to pair
MIN_CLUSTER = 0.25  #: of the steps


def in_turn(name: str, found: Stack) -> tuple[list[Frame], ...]:
    """Divide a stack of which every second, third or fourth slice is numbered on by one.

    The numbers of one volume grow or fall along the body; those of volumes in turn go back and
    forth, as 1 1 2 2 3 3, 1 71 2 72 or 1 70 2 69. Times that several slices share say nothing.

    Returns
    -------
    tuple
        The volumes; empty if there is one.
    """
    values = [None if frame is None else _value(name, frame) for frame in found.frames]
    given = sorted({value for value in values if value is not None})
    if name != "InstanceNumber" and len(given) < COUNTED_ON * len(values):
        return ()
    ranks = {value: rank for rank, value in enumerate(given)}
    numbers = [None if value is None else ranks[value] for value in values]
    for volumes in range(2, MAX_VOLUMES + 1):
        if all(_counts_on(numbers[first::volumes]) for first in range(volumes)):
            return tuple(
                [frame for frame in found.frames[first::volumes] if frame]
                for first in range(volumes)
            )
    return ()


def _value(name: str, frame: Frame) -> tuple[str, int]:
    return (frame.marks[name], 0) if name in frame.marks else ("", frame.instance)


def _counts_on(numbers: Sequence[int | None]) -> bool:
    steps = np.diff([number for number in numbers if number is not None])
    return len(steps) > 0 and max(np.mean(steps == 1), np.mean(steps == -1)) >= COUNTED_ON


def check_in_turn(frames: Sequence[Frame], rules: SelectionRules) -> None:
    """Refuse frames that are no regular stack together, but whole volumes in turn.

    Raises
    ------
    UnsuitableSeries
        ``two-volumes``.
    """
    try:
        stack(frames)
    except InvalidGeometry as error:
        if error.code not in {UnsuitableReason.GAP, UnsuitableReason.UNEVEN_SPACING}:
            return
    except UnsuitableSeries:
        return
    else:
        return
    normal = frames[0].normal
    ordered = [here[0] for here in by_position(frames, normal)]
    steps = np.diff([float(frame.position @ normal) for frame in ordered])
    near, wide = steps[steps <= steps.mean()], steps[steps > steps.mean()]
    clusters = (
        min(len(near), len(wide)) >= MIN_CLUSTER * len(steps)
        and near.max() * CLUSTERS_APART <= wide.min()
        and near.max() + wide.max() <= MAX_GAP_MM
    )
    if clusters or all(is_whole(ordered[first::2], rules) for first in range(2)):
        raise UnsuitableSeries(
            UnsuitableReason.TWO_VOLUMES,
            f"even steps of one volume expected, got images that lie in pairs"
            f" {np.median(near):.2f} mm apart, {np.median(wide):.2f} mm from pair to pair, and"
            " nothing tells their volumes apart",
        )
