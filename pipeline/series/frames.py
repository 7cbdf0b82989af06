"""Read the plane of every frame of a series, of classic CT instances and multi-frame ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import (
    code,
    codes,
    floats,
    integer,
    items,
    optional_integer,
    optional_number,
    text,
)
from pipeline.series.common_header import comparable
from pipeline.series.hounsfield import Rescale
from pipeline.series.sop_classes import MULTI_FRAME_CT

Vector = NDArray[np.float64]

MAX_POSITION_MM = 1e4  #: from the origin, which lies in or near the patient; tables move 2 m
MAX_PIXEL_MM = 100.0  #: between rows or columns; CT has 0.2 to 2 mm
MAX_TILT_DEGREES = 90.0  #: of a Gantry/Detector Tilt that can be meant
MAX_UNIT = 16  #: characters of a unit that are repeated: a defined term has no more
HOUNSFIELD = frozenset({"", "HU", "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS"})
"""Rescale Types that are Hounsfield units; absent means them as well (PS3.3 C.8.2.1)."""
MARKS: Mapping[str, tuple[str, str]] = {
    "ConvolutionKernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "ReconstructionDiameter": ("CTReconstructionSequence", "ReconstructionDiameter"),
    "FilterType": ("", "FilterType"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "ImageType": ("CTImageFrameTypeSequence", "FrameType"),
    "StackID": ("FrameContentSequence", "StackID"),
    "SeriesNumber": ("", "SeriesNumber"),
    "SeriesDescription": ("", "SeriesDescription"),
    "ContentTime": ("", "ContentTime"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "TemporalPositionIndex": ("FrameContentSequence", "TemporalPositionIndex"),
    "TemporalPositionIdentifier": ("", "TemporalPositionIdentifier"),
    "NominalPercentageOfCardiacPhase": (
        "CardiacSynchronizationSequence",
        "NominalPercentageOfCardiacPhase",
    ),
    "KVP": ("CTXRayDetailsSequence", "KVP"),
    "ContrastBolusAgent": ("", "ContrastBolusAgent"),
    "IrradiationEventUID": ("CTXRayDetailsSequence", "IrradiationEventUID"),
    "AcquisitionDate": ("", "AcquisitionDate"),
    "AcquisitionTime": ("", "AcquisitionTime"),
    "AcquisitionDateTime": ("FrameContentSequence", "FrameAcquisitionDateTime"),
}
"""Attributes that tell apart the volumes of one series, by keyword in a classic image: the
functional group, and the keyword in it, of a multi-frame one (PS3.3 C.8.2.1, C.8.15.3)."""
UNIT_LENGTH = 1e-2  #: by how much direction cosines may miss length 1 and a right angle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One slice of the patient.

    Attributes
    ----------
    dataset
        The instance it comes from.
    number
        1-based frame of a multi-frame instance; None for a single-frame one.
    position
        ``(3,)`` LPS mm of the centre of the first voxel.
    along_row, along_column
        ``(3,)`` unit vectors: where the column index, and the row index, grows.
    pixel_mm
        Distance between rows, and between columns.
    tilt
        Gantry/Detector Tilt, degrees; 0 if not stated.
    kinds
        Values of Image Type, or Frame Type.
    marks
        By keyword, what may tell the volume of the frame from others; see `MARKS`.
    """

    dataset: Dataset
    number: int | None
    sop_instance_uid: str
    acquisition: int
    instance: int
    rows: int
    columns: int
    position: Vector
    along_row: Vector
    along_column: Vector
    pixel_mm: tuple[float, float]
    rescale: Rescale
    tilt: float
    kinds: tuple[str, ...]
    marks: Mapping[str, str]

    @property
    def normal(self) -> Vector:
        """``(3,)`` unit vector across the slice, pointing towards the head."""
        across: Vector = np.cross(self.along_row, self.along_column)
        across /= np.linalg.norm(across)
        return -across if across[2] < 0 else across


def frames_of(dataset: Dataset) -> Iterator[Frame]:
    """Frames of one instance, in stored order.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute`` if a value without which there is no geometry is not there.
    """
    if text(dataset, "SOPClassUID") not in MULTI_FRAME_CT:
        yield _frame(dataset, None, [dataset])
        return
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    frames = items(dataset, "PerFrameFunctionalGroupsSequence")
    announced = integer(dataset, "NumberOfFrames")
    if len(frames) != announced or announced < 1:
        raise UnsuitableSeries(
            UnsuitableReason.MISSING_ATTRIBUTE,
            f"{max(announced, 1)} items expected in PerFrameFunctionalGroupsSequence,"
            f" got {len(frames)}",
        )
    for number, own in enumerate(frames, start=1):
        yield _frame(dataset, number, [own, shared])


def _first(dataset: Dataset, keyword: str) -> Dataset:
    """First item of a sequence; an empty dataset if there is none."""
    return next(iter(items(dataset, keyword)), Dataset())


def _group(places: list[Dataset], keyword: str) -> Dataset:
    """Find the functional group of a frame, its own or the shared one; or the instance itself."""
    for place in places:
        if items(place, keyword):
            return _first(place, keyword)
    return places[0]


def _frame(dataset: Dataset, number: int | None, places: list[Dataset]) -> Frame:
    orientation = floats(_group(places, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    spacing = floats(_group(places, "PixelMeasuresSequence"), "PixelSpacing", 2)
    position = floats(_group(places, "PlanePositionSequence"), "ImagePositionPatient", 3)
    details = _group(places, "CTAcquisitionDetailsSequence")
    content = _group(places, "FrameContentSequence")
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    _check_plane(along_row, along_column, spacing)
    _check_position(position)
    return Frame(
        dataset=dataset,
        number=number,
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        acquisition=optional_integer(
            content if number else dataset,
            "FrameAcquisitionNumber" if number else "AcquisitionNumber",
        )
        or 0,
        instance=number or optional_integer(dataset, "InstanceNumber") or 0,
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        position=np.array(position),
        along_row=along_row,
        along_column=along_column,
        pixel_mm=(spacing[0], spacing[1]),
        rescale=_rescale(dataset, _group(places, "PixelValueTransformationSequence")),
        tilt=optional_number(
            details, "GantryDetectorTilt", least=-MAX_TILT_DEGREES, most=MAX_TILT_DEGREES
        )
        or 0.0,
        kinds=_kinds(dataset, places),
        marks={keyword: _mark(dataset, places, keyword) for keyword in MARKS},
    )


def _mark(dataset: Dataset, places: list[Dataset], keyword: str) -> str:
    """Value of a mark: that of the frame, else that of the instance; case means nothing."""
    group, of_frame = MARKS[keyword]
    of_group = comparable(_group(places, group), of_frame) if group else ""
    return " ".join((of_group or comparable(dataset, keyword)).casefold().split())


def _kinds(dataset: Dataset, places: list[Dataset]) -> tuple[str, ...]:
    """Values of Frame Type, else of Image Type (PS3.3 C.7.6.1.1.2, C.8.16.1)."""
    group = _group(places, "CTImageFrameTypeSequence")
    return codes(group, "FrameType") or codes(dataset, "ImageType")


def _check_plane(along_row: Vector, along_column: Vector, spacing: tuple[float, ...]) -> None:
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    skew = abs(float(along_row @ along_column))
    if max(abs(length - 1) for length in lengths) > UNIT_LENGTH or skew > UNIT_LENGTH:
        raise UnsuitableSeries(
            UnsuitableReason.BAD_ORIENTATION,
            "ImageOrientationPatient expected two unit vectors at a right angle, got lengths"
            f" {lengths[0]:.3f} and {lengths[1]:.3f}, cosine {skew:.3f}",
        )
    if min(spacing) <= 0 or max(spacing) > MAX_PIXEL_MM:
        raise UnsuitableSeries(
            UnsuitableReason.BAD_SPACING,
            f"PixelSpacing above 0 and at most {MAX_PIXEL_MM:g} mm expected,"
            f" got {spacing[0]:g} and {spacing[1]:g}",
        )


def _check_position(position: tuple[float, ...]) -> None:
    farthest = max(map(abs, position))
    if farthest > MAX_POSITION_MM:
        raise UnsuitableSeries(
            UnsuitableReason.BAD_POSITION,
            f"ImagePositionPatient within {MAX_POSITION_MM:g} mm expected, got {farthest:g} mm",
        )


def _rescale(dataset: Dataset, group: Dataset) -> Rescale:
    """Rescale of the frame to Hounsfield units, and the padding.

    Raises
    ------
    UnsuitableSeries
        ``not-hounsfield`` if Rescale Type (PS3.3 C.11.1.1.2) names another unit: effective atomic
        number, electron density, concentration and the like, or US, unspecified, which CT must
        write where it means no Hounsfield units.
    """
    unit = code(group, "RescaleType")
    if unit not in HOUNSFIELD:
        raise UnsuitableSeries(
            UnsuitableReason.NOT_HOUNSFIELD, f"RescaleType HU expected, got {unit[:MAX_UNIT]}"
        )
    (slope,), (intercept,) = floats(group, "RescaleSlope", 1), floats(group, "RescaleIntercept", 1)
    if slope <= 0:
        raise UnsuitableSeries(
            UnsuitableReason.BAD_RESCALE, f"RescaleSlope above 0 expected, got {slope:g}"
        )
    return Rescale(slope=slope, intercept=intercept, padding=_padding(dataset))


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    """Lowest and highest stored value that are no picture, if the source says so.

    A Pixel Padding Range Limit is only meaningful beside a Pixel Padding Value.
    """
    value = _stored_value(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = _stored_value(dataset, "PixelPaddingRangeLimit")
    limit = value if limit is None else limit
    return min(value, limit), max(value, limit)


def _stored_value(dataset: Dataset, keyword: str) -> int | None:
    """Value of an attribute that is US or SS; some write the sign wrongly (63536 for -2000)."""
    value = optional_integer(dataset, keyword, least=-(2**15), most=2**16 - 1)
    if value is None:
        return None
    signed = optional_integer(dataset, "PixelRepresentation") == 1
    if signed:
        return value - 2**16 if value >= 2**15 else value
    return value % 2**16
