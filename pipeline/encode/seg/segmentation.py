"""Encode the segmentation (PS3.3 A.51): lungs and opacities on the slices of the source.

BINARY by default, because viewers count the background of a LABELMAP as a segment and shift its
colours (OHIF 3.13), and many archives refuse that SOP class.
"""

from __future__ import annotations

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from pipeline.encode.common.modules import add_body_part, add_lossy_history, new_object
from pipeline.encode.common.multiframe import (
    POSITION,
    SEGMENT,
    add_dimensions,
    add_references,
    shared_groups,
)
from pipeline.encode.common.segments import Segment, segments
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Equipment
from pipeline.encode.result.kinds import LABEL_MAP_STORAGE, ResultKind
from pipeline.encode.result.products import SegmentationForm
from pipeline.encode.seg.binary import add_bitplanes
from pipeline.encode.seg.labelmap import add_labels
from pipeline.encode.source import source_slices
from pipeline.types import Analysis, CtSeries


def segmentation(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode lungs and lesions in the form that the site wants.

    Segments have the same numbers in both forms.

    Raises
    ------
    PipelineError
        If no voxel of any segment lies on a source slice.
    ValueError
        If the site wants no segmentation.
    """
    form = context.products.segmentation
    if form is SegmentationForm.NONE:
        raise ValueError("expected a form of segmentation, got none")
    labelmap = form is SegmentationForm.LABELMAP
    slices = source_slices.real_slices(series)
    chosen = segments(analysis, tuple(item.index for item in slices), context.key)
    sop_class = LABEL_MAP_STORAGE if labelmap else SegmentationStorage
    result = new_object(series.common.header, context, ResultKind.SEGMENTATION, sop_class)
    add_body_part(series, result)
    add_references(result, series, slices, context)
    _add_image(result, series, labelmap=labelmap)
    result.SegmentSequence = [_description(segment, context.equipment) for segment in chosen]
    indices = (POSITION,) if labelmap else (SEGMENT, POSITION)
    add_dimensions(result, context, ResultKind.SEGMENTATION, *indices)
    result.SharedFunctionalGroupsSequence = [shared_groups(series, slices)]
    if labelmap:
        add_labels(result, analysis, slices, chosen)
    else:
        empty_frames = context.products.empty_frames
        add_bitplanes(result, analysis, slices, chosen, empty_frames=empty_frames)
    return result


def _add_image(result: Dataset, series: CtSeries, *, labelmap: bool) -> None:
    """Segmentation Image module (PS3.3 C.8.20.2)."""
    result.ImageType = ["DERIVED", "PRIMARY"]
    result.SamplesPerPixel = 1
    result.PhotometricInterpretation = "MONOCHROME2"
    result.PixelRepresentation = 0
    result.Rows, result.Columns = series.volume.shape[1:]
    add_lossy_history(series, result)
    result.BurnedInAnnotation = "NO"
    result.SegmentationType = "LABELMAP" if labelmap else "BINARY"
    result.SegmentsOverlap = "NO" if labelmap else "YES"
    result.ContentLabel = "LUNGS_OPACITIES"
    result.ContentDescription = (
        _("Lungs less opacities, and opacities; unverified, research use")
        if labelmap
        else _("Lungs and opacities by an algorithm, unverified, research use")
    )
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
        segmented_property_type=codes.OPACITY if lesion else lung,
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
    item.PrimaryAnatomicStructureSequence = [CodedConcept.from_code(lung)]
    return item
