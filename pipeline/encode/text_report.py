"""Short text report: Enhanced SR with TID 2000, for viewers that show reports as text only."""

from __future__ import annotations

from collections.abc import Iterable

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage

from pipeline.encode import codes, source, wording
from pipeline.encode.context import ResultContext, ResultSeries
from pipeline.encode.identity import Equipment
from pipeline.encode.sr_document import CONTAINS, add_evidence, new_document, observation_context
from pipeline.types import Analysis, CtSeries


def text_report(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode the sentences of the measurement report as a report of text."""
    result = new_document(series.headers[0], context, ResultSeries.TEXT_REPORT, EnhancedSRStorage)
    add_evidence(result, source.real_slices(series), None)
    result.update(text_content(_lines(series, analysis), context.equipment))
    return result


def text_content(lines: Iterable[str], equipment: Equipment) -> hd.ContainerContentItem:
    """TID 2000: the lines as findings, observed by the device."""
    root = hd.ContainerContentItem(codes.DIAGNOSTIC_IMAGING_REPORT, template_id="2000")
    root.ContentSequence = hd.ContentSequence(
        [
            *hd.LanguageOfContentItemAndDescendants(hd.CodedConcept.from_code(codes.ENGLISH)),
            *observation_context(equipment),
            _findings(lines),
        ]
    )
    return root


def _findings(lines: Iterable[str]) -> hd.ContainerContentItem:
    findings = hd.ContainerContentItem(codes.FINDINGS, relationship_type=CONTAINS)
    findings.ContentSequence = hd.ContentSequence(
        [hd.TextContentItem(codes.FINDING, text, CONTAINS) for text in lines]
    )
    return findings


def _lines(series: CtSeries, analysis: Analysis) -> list[str]:
    involved = analysis.involvement
    return [
        wording.RESEARCH_NOTICE,
        f"COVID-19 classifier (model output, not a diagnosis): "
        f"{wording.score_line(analysis.classification)}"
        f"{wording.certainty(analysis.classification)}.",
        wording.involvement_sentence(analysis),
        f"Lung volume {wording.number(involved.total_ml, 0)} ml "
        f"(right {wording.number(involved.right_ml, 0)} ml, "
        f"left {wording.number(involved.left_ml, 0)} ml).",
        wording.completeness_sentence(series),
        *wording.quality_sentences(series, analysis),
        f"Model: {wording.model_line(analysis.provenance)}.",
    ]
