"""Encode the text report: Enhanced SR, TID 2000, for viewers that show reports as text only.

It is the preliminary text of a machine, and its title says so. Each sentence is a paragraph of its
own, named by what it is about, and stands once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedSRStorage

from pipeline.encode.common import sentences
from pipeline.encode.common.modules import add_anatomy
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.language.translation import _
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
    content_language,
    new_document,
    observation_context,
    procedure_reported,
    separate,
)
from pipeline.types import Analysis, CtSeries


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of the text, and its paragraphs: what each is about, and what it says."""

    heading: Code
    paragraphs: tuple[tuple[Code, str], ...]


def text_report(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode the sentences of the measurement report as paragraphs of text."""
    header = series.common.header
    slices = source_slices.real_slices(series)
    result = new_document(header, context, ResultKind.TEXT_REPORT, EnhancedSRStorage)
    add_anatomy(header, result)
    add_evidence(result, slices, None)
    add_priors(result, context.priors)
    sections = (
        Section(heading=codes.CONCLUSIONS, paragraphs=tuple(_conclusions(analysis))),
        Section(heading=codes.FINDINGS, paragraphs=tuple(_findings(analysis, slices))),
        Section(
            heading=codes.PREVIOUS_FINDINGS,
            paragraphs=tuple(
                (codes.COMPARISON, text)
                for text in sentences.prior_sentences(analysis, context.priors)
            ),
        ),
        Section(
            heading=codes.PROCEDURE_DESCRIPTIONS,
            paragraphs=tuple(_procedure(series, analysis, context)),
        ),
    )
    result.update(
        text_content(
            codes.PRELIMINARY_TEXT, sections, context.equipment, procedure_reported(header)
        )
    )
    return result


def text_content(
    title: Code,
    sections: Iterable[Section],
    equipment: Equipment,
    procedure: hd.CodedConcept | None,
) -> hd.ContainerContentItem:
    """TID 2000: sections of text, observed by the device; those without a paragraph are left out.

    The title is not one of a report of imaging (CID 7000), so that no system files it as such.
    """
    root = hd.ContainerContentItem(title, template_id="2000")
    root.ContentSequence = hd.ContentSequence(
        [
            *_procedures(procedure),
            *content_language(),
            *observation_context(equipment, brief=True),
            *(_container(section) for section in sections if section.paragraphs),
        ]
    )
    return separate(root)


def _procedures(procedure: hd.CodedConcept | None) -> list[hd.CodeContentItem]:
    modifies = hd.RelationshipTypeValues.HAS_CONCEPT_MOD
    if procedure is None:
        return []
    return [hd.CodeContentItem(codes.PROCEDURE_REPORTED, procedure, modifies)]


def _container(section: Section) -> hd.ContainerContentItem:
    container = hd.ContainerContentItem(section.heading, relationship_type=CONTAINS)
    container.ContentSequence = hd.ContentSequence(
        [hd.TextContentItem(name, text, CONTAINS) for name, text in section.paragraphs]
    )
    return container


def _conclusions(analysis: Analysis) -> Iterator[tuple[Code, str]]:
    found = analysis.classification
    yield codes.NOTICE, _(sentences.RESEARCH_NOTICE)
    yield (
        codes.SCORE,
        _(
            "COVID-19 classifier (model output, not a diagnosis): {score}.",
            score=f"{sentences.score_line(found)}{sentences.certainty(analysis)}",
        ),
    )
    yield codes.OPACITIES, sentences.involvement_sentence(analysis)
    for text in (sentences.content_sentence(analysis), *sentences.changes_sentences(analysis)):
        if text:
            yield codes.OPACITIES, text
    yield codes.LIMITS, _(sentences.NOT_ASSESSED)


def _findings(analysis: Analysis, slices: tuple[SourceSlice, ...]) -> Iterator[tuple[Code, str]]:
    """Describe the opacities that have a segment of their own one by one, the others together."""
    yield codes.LUNGS, sentences.lung_volume_sentence(analysis.involvement)
    if low := sentences.low_attenuation_sentence(analysis):
        yield codes.LUNGS, low
    for text in sentences.lobes_sentences(analysis):
        yield codes.LOBES, text
    ordered = tuple(sorted(analysis.lesions, key=lambda lesion: lesion.number))
    for lesion in ordered[:MAX_LESION_SEGMENTS]:
        key = key_slice(analysis, (lesion,), slices)
        yield (
            codes.OPACITY,
            sentences.lesion_sentence(lesion, "" if key is None else image_name(key)),
        )
    if rest := ordered[MAX_LESION_SEGMENTS:]:
        yield codes.OPACITY, sentences.rest_sentence(rest)


def _procedure(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[tuple[Code, str]]:
    """Say what was read, how well, and how to read the numbers."""
    yield codes.SERIES_READ, sentences.source_sentence(series)
    yield codes.COMPLETENESS, sentences.completeness_sentence(series)
    for text in sentences.quality_sentences(series, analysis):
        yield codes.QUALITY, text
    yield codes.SCORE_MEANING, _(sentences.SCORE_MEANING)
    if whose := scanner_words(analysis.classification.scanner_bounds):
        yield codes.OPERATING_POINT, whose
    for text in sentences.promise_sentences(analysis):
        yield codes.PROMISE, text
    if context.products.heatmap is not HeatmapForm.NONE:
        yield codes.HEATMAP_READING, _(sentences.HEATMAP_MEANING)
    yield (
        codes.ALGORITHM_NAME,
        _("Model: {model}.", model=sentences.model_line(analysis.provenance)),
    )
    if context.predecessor is not None:
        yield (
            codes.STATUS,
            _(
                "Revision {n}: this replaces an earlier AI report of the series.",
                n=context.generation,
            ),
        )
