"""Encode the text report: Enhanced SR, TID 2000, for viewers that show reports as text only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage

from pipeline.encode.common import sentences
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.language.translation import _, current_language
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Equipment
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm
from pipeline.encode.source import source_slices
from pipeline.encode.source.key_slices import image_name, key_slice
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.document import (
    CONTAINS,
    add_evidence,
    add_priors,
    new_document,
    observation_context,
)
from pipeline.types import Analysis, CtSeries


def text_report(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode the sentences of the measurement report as a report of text."""
    slices = source_slices.real_slices(series)
    result = new_document(series.common.header, context, ResultKind.TEXT_REPORT, EnhancedSRStorage)
    add_evidence(result, slices, None)
    add_priors(result, context.priors)
    lines = (
        _(sentences.RESEARCH_NOTICE),
        sentences.source_sentence(series),
        *_classifier_lines(analysis),
        *_lung_lines(analysis),
        *_lesion_lines(analysis, slices),
        _(sentences.NOT_ASSESSED),
        *_heatmap_lines(context),
        *sentences.prior_sentences(analysis, context.priors),
        sentences.completeness_sentence(series),
        *sentences.quality_sentences(series, analysis),
        *_origin_lines(analysis, context),
    )
    result.update(text_content(lines, context.equipment))
    return result


def text_content(lines: Iterable[str], equipment: Equipment) -> hd.ContainerContentItem:
    """TID 2000: the lines as findings, observed by the device."""
    root = hd.ContainerContentItem(codes.DIAGNOSTIC_IMAGING_REPORT, template_id="2000")
    root.ContentSequence = hd.ContentSequence(
        [
            *hd.LanguageOfContentItemAndDescendants(
                hd.CodedConcept.from_code(codes.language(current_language()))
            ),
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


def _classifier_lines(analysis: Analysis) -> Iterator[str]:
    found = analysis.classification
    yield _(
        "COVID-19 classifier (model output, not a diagnosis): {score}.",
        score=f"{sentences.score_line(found)}{sentences.certainty(found)}",
    )
    yield _(sentences.SCORE_MEANING)
    yield from sentences.promise_sentences(found)


def _lung_lines(analysis: Analysis) -> Iterator[str]:
    involved = analysis.involvement
    yield sentences.involvement_sentence(analysis)
    yield sentences.lung_volume_sentence(involved)


def _lesion_lines(analysis: Analysis, slices: tuple[SourceSlice, ...]) -> Iterator[str]:
    """Describe the opacities that have a segment of their own one by one, the others together."""
    ordered = tuple(sorted(analysis.lesions, key=lambda lesion: lesion.number))
    for lesion in ordered[:MAX_LESION_SEGMENTS]:
        key = key_slice(analysis, (lesion,), slices)
        yield sentences.lesion_sentence(lesion, "" if key is None else image_name(key))
    if rest := ordered[MAX_LESION_SEGMENTS:]:
        yield sentences.rest_sentence(rest)


def _heatmap_lines(context: ResultContext) -> tuple[str, ...]:
    drawn = context.products.heatmap is not HeatmapForm.NONE
    return (_(sentences.HEATMAP_MEANING),) if drawn else ()


def _origin_lines(analysis: Analysis, context: ResultContext) -> Iterator[str]:
    yield _("Model: {model}.", model=sentences.model_line(analysis.provenance))
    if context.predecessor is not None:
        yield _(
            "Revision {n}: this replaces an earlier AI report of the series.", n=context.generation
        )
