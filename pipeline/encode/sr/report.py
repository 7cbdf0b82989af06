"""Encode the measurement report: Comprehensive 3D SR, TID 1500, for machines and viewers."""

from __future__ import annotations

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from pipeline.encode.common.modules import add_anatomy
from pipeline.encode.common.segments import segments
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.sr.document import (
    add_evidence,
    add_priors,
    content_language,
    new_document,
    observation_context,
    procedure_reported,
    separate,
)
from pipeline.encode.sr.evaluations import qualitative_evaluations
from pipeline.encode.sr.image_library import image_library
from pipeline.encode.sr.lung_findings import lung_findings
from pipeline.encode.sr.opacities import opacity_findings
from pipeline.encode.sr.segment_group import segment_group
from pipeline.encode.sr.whole_group import outlined_lungs, whole_group
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
    lungs = outlined_lungs(analysis, slices)
    opacities = tuple(
        opacity_findings(
            series, analysis, context, slices, chosen, only_key=segmentation is not None
        )
    )
    taken = {found.outlines[0].item.index for found in opacities} | {
        outlined.item.index for outlined in lungs
    }
    findings = (*opacities, *lung_findings(analysis, context, slices, chosen, taken))
    content = hd.MeasurementReport(
        observation_context=observation_context(context.equipment),
        procedure_reported=procedure_reported(series.common.header),
        language_of_content_item_and_descendants=content_language(),
        imaging_measurements=[
            whole_group(analysis, context, lungs),
            *(segment_group(series, found, segmentation) for found in findings),
        ],
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )[0]
    outlines = (*lungs, *(outlined for found in findings for outlined in found.outlines))
    content.ContentSequence.insert(-1, image_library(series, outlines, context))
    content.ContentSequence.append(qualitative_evaluations(series, analysis, context.priors))
    result = new_document(
        series.common.header, context, ResultKind.REPORT, Comprehensive3DSRStorage
    )
    add_anatomy(series.common.header, result)
    add_evidence(result, slices, segmentation)
    add_priors(result, context.priors)
    result.update(separate(content))
    return result
