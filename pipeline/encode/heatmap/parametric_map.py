"""Encode the activation as numbers: a Parametric Map (PS3.3 A.75) on the slices of the source.

The map has every pixel of the source, because OHIF 3.13 shows no other map, unless the site wants
it smaller; its frames run feet to head, because OHIF lays them down in the order of the file; its
values are 32-bit floats, because OHIF reads no others.
"""

from __future__ import annotations

import numpy as np
from highdicom.pm import RealWorldValueMapping
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.sequence import Sequence
from pydicom.uid import ParametricMapStorage

from pipeline.encode.common.modules import add_body_part, add_lossy_history, new_object
from pipeline.encode.common.multiframe import (
    POSITION,
    add_dimensions,
    add_references,
    block_position,
    frame_groups,
    shared_groups,
)
from pipeline.encode.heatmap import paint
from pipeline.encode.heatmap.shown_slices import spaced_slices
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.types import Analysis, CtSeries

FULL = np.float32(255)  #: stands for an activation of 1
IMAGE_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"]


def parametric_map(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode the activation, 0 to 1 relative to its extremes in the lungs of this series.

    The stored values are the activation itself.
    """
    factor = -(-series.volume.shape[2] // context.products.parametric_map_columns)
    slices = (
        source_slices.real_slices(series)
        if factor == 1
        else spaced_slices(series, analysis, context.products.heatmap_step_mm)
    )
    kind = ResultKind.PARAMETRIC_MAP
    result = new_object(series.common.header, context, kind, ParametricMapStorage)
    add_body_part(series, result)
    add_references(result, series, slices, context)
    _add_image(result, series)
    add_dimensions(result, context, kind, POSITION)
    result.SharedFunctionalGroupsSequence = [_shared(series, slices, factor)]
    result.PerFrameFunctionalGroupsSequence = [
        frame_groups(
            item,
            codes.UNSPECIFIED_CALCULATION,
            [number],
            None if factor == 1 else block_position(series, item, factor),
        )
        for number, item in enumerate(slices, start=1)
    ]
    _add_pixels(
        result,
        np.stack([paint.reduced(analysis.activation[item.index], factor) for item in slices]),
    )
    return result


def _add_image(result: Dataset, series: CtSeries) -> None:
    """Parametric Map Image module (PS3.3 C.8.32.2), Acquisition Context (C.7.6.14)."""
    result.ImageType = IMAGE_TYPE
    result.BurnedInAnnotation = "NO"
    result.RecognizableVisualFeatures = "NO"
    add_lossy_history(series, result)
    result.ContentLabel = "ACTIVATION"
    result.ContentDescription = _("Activation of the classifier, relative within the series")
    result.ContentCreatorName = None
    result.PresentationLUTShape = "IDENTITY"
    result.DerivationDescription = _("Class activation map, stretched to 0..1 over the lungs")
    result.AcquisitionContextSequence = Sequence()


def _shared(
    series: CtSeries, slices: tuple[source_slices.SourceSlice, ...], factor: int
) -> Dataset:
    groups = shared_groups(series, slices, factor)
    frame_type, window, rescale, anatomy = Dataset(), Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "B"
    anatomy.AnatomicRegionSequence = [codes.code_item(codes.LUNG)]
    frame_type.FrameType = IMAGE_TYPE
    window.WindowCenter, window.WindowWidth = 0.5, 1.0
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = 0, 1, "US"
    groups.ParametricMapFrameTypeSequence = [frame_type]
    groups.FrameAnatomySequence = [anatomy]  # dcmqi 1.5 ends without it
    groups.FrameVOILUTSequence = [window]
    groups.PixelValueTransformationSequence = [rescale]
    groups.RealWorldValueMappingSequence = [_mapping()]
    return groups


def _mapping() -> RealWorldValueMapping:
    """Meaning of the stored values (PS3.3 C.7.6.16.2.11)."""
    return RealWorldValueMapping(
        lut_label="ACTIVATION",
        lut_explanation=_("Activation of the classifier, 0 to 1 within the series"),
        unit=codes.NO_UNITS,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.ACTIVATION_MAP,
    )


def _add_pixels(result: Dataset, activation: NDArray[np.float32]) -> None:
    """Floating Point Image Pixel module (PS3.3 C.7.6.24)."""
    result.SamplesPerPixel = 1
    result.PhotometricInterpretation = "MONOCHROME2"
    result.NumberOfFrames, result.Rows, result.Columns = activation.shape
    result.BitsAllocated = 32
    data = (activation / FULL).astype("<f4").tobytes()
    result.add_new(keyword_dict["FloatPixelData"], "OF", data)
