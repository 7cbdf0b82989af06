"""Segmentation (PS3.3 A.51): lungs and opacities as BINARY segments on the source's slices.

BINARY because viewers count the background of a LABELMAP as a segment and shift its colours
(OHIF 3.13), and many archives refuse that SOP class. Lungs hold their opacities: segments
overlap. Masks are packed slice by slice from the label maps, so that memory stays bounded by the
object itself. Frames without a voxel of their segment are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.uid import SegmentationStorage

from pipeline.encode import codes, source
from pipeline.encode.context import ResultContext, ResultSeries
from pipeline.encode.header import add_body_part, add_lossy_history, new_object
from pipeline.encode.identity import Equipment, derived_uid
from pipeline.encode.segments import Segment, segments
from pipeline.encode.source import SourceSlice
from pipeline.types import Analysis, CtSeries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    segment: int  # Segment Number
    place: int  # 1-based among the source slices
    bits: NDArray[np.uint8]  # one byte for eight pixels, or for one if they do not fill bytes


def segmentation(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode lungs and lesions.

    Raises
    ------
    PipelineError
        If no voxel of any segment lies on a source slice.
    """
    slices = source.real_slices(series)
    chosen = segments(analysis, tuple(item.index for item in slices), context.key)
    result = new_object(series.headers[0], context, ResultSeries.SEGMENTATION, SegmentationStorage)
    add_body_part(series, result)
    _add_image(result, series, context)
    result.SegmentSequence = [_description(segment, context.equipment) for segment in chosen]
    result.ReferencedSeriesSequence = [_referenced_series(slices)]
    _add_dimensions(result, context)
    result.SharedFunctionalGroupsSequence = [_shared(series)]
    frames = _frames(analysis, slices, chosen)
    _add_frames(result, frames, slices)
    return result


def _add_image(result: Dataset, series: CtSeries, context: ResultContext) -> None:
    """Segmentation Image module (PS3.3 C.8.20.2) and the frame of reference."""
    result.FrameOfReferenceUID = source.frame_of_reference(series, context)
    result.PositionReferenceIndicator = None
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.SamplesPerPixel = 1
    result.PhotometricInterpretation = "MONOCHROME2"
    result.PixelRepresentation = 0
    result.BitsAllocated, result.BitsStored, result.HighBit = 1, 1, 0
    _, result.Rows, result.Columns = series.volume.shape
    add_lossy_history(series, result)
    result.BurnedInAnnotation = "NO"
    result.SegmentationType = "BINARY"
    result.SegmentsOverlap = "YES"
    result.ContentLabel = "LUNGS_OPACITIES"
    result.ContentDescription = "Lungs and opacities by an algorithm, unverified, research use"
    result.ContentCreatorName = None


def _description(segment: Segment, equipment: Equipment) -> Dataset:
    lesion = bool(segment.lesions)
    lung = codes.LUNG if segment.side is None else codes.LUNG_OF[segment.side]
    region = CodedConcept.from_code(codes.LUNG)
    if segment.side is not None:
        region.AnatomicRegionModifierSequence = [codes.code_item(codes.LATERALITY[segment.side])]
    item = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=(
            codes.ABNORMAL_STRUCTURE if lesion else codes.ANATOMICAL_STRUCTURE
        ),
        segmented_property_type=codes.LESION if lesion else lung,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=equipment.model_name,
            version=equipment.software_versions,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            source=equipment.manufacturer,
        ),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
    item.AnatomicRegionSequence = [region]
    return item


def _referenced_series(slices: tuple[SourceSlice, ...]) -> Dataset:
    """Item of Common Instance Reference (PS3.3 C.12.2): OHIF finds no images without it."""
    item = Dataset()
    item.SeriesInstanceUID = slices[0].header.SeriesInstanceUID
    item.ReferencedInstanceSequence = source.instance_references(slices)
    return item


def _add_dimensions(result: Dataset, context: ResultContext) -> None:
    """Frames are indexed by segment, then by position (PS3.3 C.7.6.17)."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derived_uid(context.key, "dimensions")
    result.DimensionOrganizationSequence = [organisation]
    result.DimensionIndexSequence = [
        _dimension(context, "ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        _dimension(context, "ImagePositionPatient", "PlanePositionSequence"),
    ]


def _dimension(context: ResultContext, keyword: str, group: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = derived_uid(context.key, "dimensions")
    item.DimensionIndexPointer = keyword_dict[keyword]
    item.FunctionalGroupPointer = keyword_dict[group]
    item.DimensionDescriptionLabel = keyword
    return item


def _shared(series: CtSeries) -> Dataset:
    """Pixel measures and plane orientation, the same for all frames."""
    measures, plane, item = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = source.ds(series.volume.spacing_mm[1:])
    measures.SliceThickness = source.ds((source.slice_thickness_mm(series),))[0]
    measures.SpacingBetweenSlices = source.ds((source.slice_distance_mm(series),))[0]
    plane.ImageOrientationPatient = source.ds(source.directions(series).ravel())
    item.PixelMeasuresSequence = [measures]
    item.PlaneOrientationSequence = [plane]
    return item


def _frames(
    analysis: Analysis, slices: tuple[SourceSlice, ...], chosen: tuple[Segment, ...]
) -> list[_Frame]:
    """Frames in the order of the dimensions: segment, then position."""
    lungs = tuple(segment for segment in chosen if not segment.lesions)
    lesions = tuple(segment for segment in chosen if segment.lesions)
    frames = [
        frame
        for place, item in enumerate(slices, start=1)
        for labels, wanted in ((analysis.lungs.labels, lungs), (analysis.lesion_labels, lesions))
        for frame in _frames_of_plane(labels[item.index], wanted, place)
    ]
    return sorted(frames, key=lambda frame: (frame.segment, frame.place))


def _frames_of_plane(
    labels: NDArray[np.uint8], wanted: tuple[Segment, ...], place: int
) -> list[_Frame]:
    present = np.bincount(labels.ravel(), minlength=256) > 0
    frames = []
    for segment in wanted:
        values = [value for value in segment.values if present[value]]
        if values:
            mask = labels == values[0] if len(values) == 1 else np.isin(labels, values)
            frames.append(_Frame(segment=segment.number, place=place, bits=_pack(mask)))
    return frames


def _pack(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Eight pixels a byte, first pixel in the lowest bit (PS3.5 8.1.1).

    Frames follow one another without padding: one which does not fill its last byte is kept
    unpacked until all are together.
    """
    bits = mask.ravel()
    return np.packbits(bits, bitorder="little") if bits.size % 8 == 0 else bits.view(np.uint8)


def _pixel_data(frames: list[_Frame], pixels: int) -> bytes:
    bits = np.concatenate([frame.bits for frame in frames])
    packed = bits if pixels % 8 == 0 else np.packbits(bits, bitorder="little")
    return packed.tobytes() + b"\x00" * (packed.size % 2)


def _add_frames(result: Dataset, frames: list[_Frame], slices: tuple[SourceSlice, ...]) -> None:
    result.NumberOfFrames = len(frames)
    result.PerFrameFunctionalGroupsSequence = [
        _functional_groups(frame, slices[frame.place - 1]) for frame in frames
    ]
    result.add_new(
        keyword_dict["PixelData"], "OB", _pixel_data(frames, result.Rows * result.Columns)
    )


def _functional_groups(frame: _Frame, item: SourceSlice) -> Dataset:
    content, plane, segment, groups = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [frame.segment, frame.place]
    plane.ImagePositionPatient = source.ds(item.position)
    segment.ReferencedSegmentNumber = frame.segment
    groups.DerivationImageSequence = [_derivation(item)]
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [plane]
    groups.SegmentIdentificationSequence = [segment]
    return groups


def _derivation(item: SourceSlice) -> Dataset:
    image, derivation = source.reference(item.frame), Dataset()
    image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    image.SpatialLocationsPreserved = "YES"
    derivation.SourceImageSequence = [image]
    derivation.DerivationCodeSequence = [codes.code_item(codes.SEGMENTATION)]
    return derivation
