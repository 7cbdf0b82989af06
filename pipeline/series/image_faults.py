"""Set a few images aside that lack what every slice has; a fault of more is one of the series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.frames import Frame, frames_of
from pipeline.series.image_rules import Reason, SelectionRules, of_another_kind
from pipeline.series.separate_volumes import MAX_ODD_SHARE

Faulty = list[tuple[UnsuitableSeries, Dataset]]
Apart = list[tuple[UnsuitableReason, Dataset]]


def judge(
    datasets: Sequence[Dataset], rules: SelectionRules
) -> tuple[list[Dataset], Apart, Faulty]:
    """Tell images that may be slices, those of another kind, and those that cannot be judged.

    Raises
    ------
    UnsuitableSeries
        If none may be a slice; ``missing-attribute``, if more than a few cannot be judged.
    """
    slices: list[Dataset] = []
    reasons: list[Reason] = []
    apart: Apart = []
    faulty: Faulty = []
    for dataset in datasets:
        try:
            reason = of_another_kind(dataset, rules)
        except UnsuitableSeries as fault:
            faulty.append((fault, dataset))
            continue
        if reason is None:
            slices.append(dataset)
        else:
            reasons.append(reason)
            apart.append((reason.code, dataset))
    _check_few(faulty, slices)
    require_some(slices, reasons)
    return slices, apart, faulty


def require_some(slices: Sequence[object], reasons: Sequence[Reason]) -> None:
    """Refuse a series of which no image may be a slice, by the rule that most break."""
    if not slices:
        code, _ = Counter(reason.code for reason in reasons).most_common(1)[0]
        first = next(reason for reason in reasons if reason.code == code)
        raise UnsuitableSeries(code, first.text.rstrip("."))


def frames_of_whole(slices: Sequence[Dataset], faulty: Faulty) -> tuple[list[Frame], Apart]:
    """Frames of the images that lack nothing, and all the others, by what they lack.

    Raises
    ------
    UnsuitableSeries
        The first fault, if more than a few have one.
    """
    pictures = [_has_picture(dataset) for dataset in slices]
    whole: list[list[Frame]] = []
    faulty = list(faulty)
    for dataset, picture in zip(slices, pictures, strict=True):
        try:
            frames = list(frames_of(dataset))
        except UnsuitableSeries as fault:
            faulty.append((fault, dataset))
            continue
        if picture or not any(pictures):  # of headers alone none has one
            whole.append(frames)
        else:
            said = "Pixel Data expected in every image, got one without"
            faulty.append((UnsuitableSeries(UnsuitableReason.PIXEL_DATA, said), dataset))
    _check_few(faulty, whole)
    return [frame for frames in whole for frame in frames], [
        (fault.code, dataset) for fault, dataset in faulty
    ]


def _has_picture(dataset: Dataset) -> bool:
    if "PixelData" not in dataset:
        return False
    element = dataset.get_item("PixelData", keep_deferred=True)
    if isinstance(element, RawDataElement) and element.value is None:  # it is left in the file
        return bool(element.length) and element.value_tell < Path(dataset.filename).stat().st_size
    return bool(element.value)


def _check_few(faulty: Faulty, others: Sequence[object]) -> None:
    """Refuse a series in which more than a few images have a fault, by the first.

    A few may be slices: the gaps that they leave are judged.
    """
    if len(faulty) > MAX_ODD_SHARE * (len(faulty) + len(others)):
        raise faulty[0][0]
