"""Source images of the slices, and their geometry, as result objects refer to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import derived_uid
from pipeline.errors import PipelineError
from pipeline.series.attributes import items, optional_integer, optional_number, text, texts
from pipeline.types import CtSeries, SourceFrame

Point = tuple[float, float, float]

THICKNESS_MM = (0.01, 100.0)  #: plausible; CT is reconstructed in slices of 0.2 to 20 mm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceSlice:
    """A slice of the volume that stands for a real image.

    Attributes
    ----------
    index
        0-based slice of the volume.
    header
        Header of the instance that holds the image.
    position
        Centre of the first pixel, ``(x, y, z)`` LPS mm.
    """

    index: int
    frame: SourceFrame
    header: Dataset
    position: Point


def real_slices(series: CtSeries) -> tuple[SourceSlice, ...]:
    """Slices that have a source image, feet to head; interpolated ones are left out.

    Raises
    ------
    PipelineError
        If a slice names an instance of which there is no header, or no slice is real.
    """
    headers = {text(header, "SOPInstanceUID"): header for header in series.headers}
    slices = tuple(
        _source_slice(series, headers, index, frame)
        for index, frame in enumerate(series.volume.source)
        if frame is not None
    )
    if not slices:
        raise PipelineError(f"expected source images, all {series.volume.shape[0]} slices are new")
    return slices


def _source_slice(
    series: CtSeries, headers: dict[str, Dataset], index: int, frame: SourceFrame
) -> SourceSlice:
    header = headers.get(frame.sop_instance_uid)
    if header is None:
        raise PipelineError(f"slice {index}: no header of instance {frame.sop_instance_uid}")
    position = _recorded_position(header, frame) or position_in_grid(series, index)
    return SourceSlice(index=index, frame=frame, header=header, position=position)


def position_in_grid(series: CtSeries, index: int) -> Point:
    """Centre of the first voxel of a slice, LPS mm, by the affine of the volume."""
    x, y, z = series.volume.affine[:3, 0] * index + series.volume.affine[:3, 3]
    return float(x), float(y), float(z)


def _recorded_position(header: Dataset, frame: SourceFrame) -> Point | None:
    position = recorded(header, frame, "PlanePositionSequence", "ImagePositionPatient")
    try:
        x, y, z = (float(value) for value in position)
    except ValueError:
        return None
    return x, y, z


def recorded(header: Dataset, frame: SourceFrame, group: str, keyword: str) -> tuple[str, ...]:
    """Values of a Decimal String of the frame, as the source wrote them.

    Parameters
    ----------
    group
        Functional group that holds it in a multi-frame source: the frame's own, else shared.

    Returns
    -------
    tuple
        Empty where the source has no value.
    """
    holder = header if frame.frame_number is None else _group(header, frame.frame_number, group)
    return texts(holder, keyword)


def _group(header: Dataset, frame_number: int, group: str) -> Dataset:
    """Item of a functional group; empty if the source has none."""
    own = items(header, "PerFrameFunctionalGroupsSequence")
    shared = items(header, "SharedFunctionalGroupsSequence")
    for place in (*own[frame_number - 1 : frame_number], *shared[:1]):
        if found := items(place, group):
            return found[0]
    return Dataset()


def directions(series: CtSeries) -> NDArray[np.float64]:
    """Return unit vectors, LPS: along a row (rising column index), then along a column.

    Returns
    -------
    NDArray
        ``(2, 3)``; flattened it is Image Orientation (Patient), PS3.3 C.7.6.2.1.1.
    """
    axes = series.volume.affine[:3, [2, 1]].T
    unit: NDArray[np.float64] = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return unit


def slice_distance_mm(series: CtSeries) -> float:
    """Distance between neighbouring slices along their normal, mm."""
    row, column = directions(series)
    return float(abs(np.dot(np.cross(row, column), series.volume.affine[:3, 0])))


def slice_thickness_mm(series: CtSeries) -> float:
    """Slice Thickness of the source, mm; the distance between slices without a plausible one."""
    least, most = THICKNESS_MM
    given = optional_number(series.common.header, "SliceThickness", least=least, most=most)
    return slice_distance_mm(series) if given is None else given


def instance_number(item: SourceSlice) -> int | None:
    """Instance Number of the image of a slice; None if the source has none that is a number."""
    return optional_integer(item.header, "InstanceNumber")


def frame_of_reference(series: CtSeries, context: ResultContext) -> UID:
    """Frame of Reference UID of the source, or one derived from the key if it has none."""
    given = series.volume.frame_of_reference_uid
    return UID(given) if given else derived_uid(context.key, "frame-of-reference")


def ds(values: NDArray[np.float64] | tuple[float, ...]) -> list[str]:
    """Numbers as decimal strings of at most 16 characters (PS3.5 6.2)."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def reference(frame: SourceFrame, item: Dataset | None = None) -> Dataset:
    """Image SOP Instance Reference (PS3.3 table 10-3), with the frame of a multi-frame image."""
    item = Dataset() if item is None else item
    item.ReferencedSOPClassUID = frame.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.sop_instance_uid
    if frame.frame_number is not None:
        item.ReferencedFrameNumber = frame.frame_number
    return item


def instance_references(slices: tuple[SourceSlice, ...]) -> Sequence:
    """One reference for each instance (not frame), feet to head."""
    instances = {item.frame.sop_instance_uid: item.frame.sop_class_uid for item in slices}
    return Sequence(
        reference(SourceFrame(sop_class_uid=sop_class, sop_instance_uid=uid))
        for uid, sop_class in instances.items()
    )


def compass(direction: NDArray[np.float64]) -> str:
    """Nearest letter of Patient Orientation (PS3.3 C.7.6.1.1.1): L, R, P, A, H or F."""
    axis = int(np.argmax(np.abs(direction)))
    return ("LR", "PA", "HF")[axis][int(direction[axis] < 0)]
