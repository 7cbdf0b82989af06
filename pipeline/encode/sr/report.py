"""Encode the measurement report: Comprehensive 3D SR, TID 1500, for machines and viewers."""

from __future__ import annotations

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from pipeline.encode.common.segments import segments
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.sr.document import (
    add_evidence,
    add_priors,
    image_library,
    new_document,
    observation_context,
)
from pipeline.encode.sr.evaluations import qualitative_evaluations
from pipeline.encode.sr.lung_measurements import whole_group
from pipeline.encode.sr.opacities import opacity_groups
from pipeline.types import Analysis, CtSeries


def report(
    series: CtSeries, analysis: Analysis, context: ResultContext, segmentation: Dataset | None
) -> Dataset:
    """Encode score, decision, involvement and lesions.

    Parameters
    ----------
    segmentation
        The SEG made with the same arguments; lesions refer to its segments. None if there is
        none, or a label map, whose class many readers do not know: DCMTK 3.6.7 reads no report
        that refers to one. Lesions then have their outlines instead, and Tracking UIDs equal to
        those of the segments of the label map.

    Notes
    -----
    A lesion that lies on interpolated slices only has no segment, and so no group of its own;
    it counts in the numbers for the whole.
    """
    slices = source_slices.real_slices(series)
    chosen = segments(analysis, tuple(item.index for item in slices), context.key)
    content = hd.MeasurementReport(
        observation_context=observation_context(context.equipment),
        procedure_reported=codes.CT_UNSPECIFIED_BODY_REGION,
        imaging_measurements=[
            whole_group(analysis, context, slices),
            *opacity_groups(series, analysis, context, slices, chosen, segmentation),
        ],
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )[0]
    content.ContentSequence.insert(-1, image_library(series, slices, context))
    content.ContentSequence.append(qualitative_evaluations(series, analysis, context.priors))
    result = new_document(
        series.common.header, context, ResultKind.REPORT, Comprehensive3DSRStorage
    )
    add_evidence(result, slices, segmentation)
    add_priors(result, context.priors)
    result.update(content)
    return result
