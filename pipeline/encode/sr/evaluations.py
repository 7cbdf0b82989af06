"""Qualitative evaluations of the measurement report: decision in codes, sentences as text.

The container Qualitative Evaluations (TID 1500 rows 12 to 14) is the only place that template
has for text.
"""

from __future__ import annotations

from collections.abc import Iterator

import highdicom.sr as hd
from pydicom.sr.coding import Code

from pipeline.encode.common import sentences
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.identity import Prior
from pipeline.encode.sr.document import CONTAINS
from pipeline.types import Analysis, Answer, Classification, CtSeries


def qualitative_evaluations(
    series: CtSeries, analysis: Analysis, priors: tuple[Prior, ...]
) -> hd.ContainerContentItem:
    """TID 1500 row 12."""
    container = hd.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=CONTAINS)
    container.ContentSequence = hd.ContentSequence(
        [*_codes(analysis), *_texts(series, analysis, priors)]
    )
    return container


def _codes(analysis: Analysis) -> Iterator[hd.CodeContentItem]:
    found = analysis.classification
    yield hd.CodeContentItem(codes.DECISION, _decision(found), CONTAINS)
    if analysis.unreported is not None:
        yield hd.CodeContentItem(codes.CHANGES, codes.CHANGES_PRESENT, CONTAINS)
    if found.prediction_set is not None:
        left_open = codes.PREDICTION_SETS[frozenset(found.prediction_set.classes)]
        yield hd.CodeContentItem(codes.PREDICTION_SET, left_open, CONTAINS)


def _decision(found: Classification) -> Code:
    """Code of the answer: one of three, or one of two where the threshold alone decides."""
    if found.indeterminate_from is None:
        return codes.ABOVE if found.positive else codes.NOT_ABOVE
    return {
        Answer.ABOVE: codes.ABOVE,
        Answer.INDETERMINATE: codes.INDETERMINATE,
        Answer.BELOW: codes.BELOW,
    }[found.answer]


def _texts(
    series: CtSeries, analysis: Analysis, priors: tuple[Prior, ...]
) -> list[hd.TextContentItem]:
    classification = analysis.classification
    whose = scanner_words(classification.scanner_bounds)
    rows = [
        (codes.NOTICE, _(sentences.RESEARCH_NOTICE)),
        (codes.SENTENCE, sentences.ready_sentence(series, analysis, priors)),
        (codes.SCORE_MEANING, _(sentences.SCORE_MEANING)),
        (codes.OPERATING_POINT, sentences.operating_point(classification)),
        *([(codes.OPERATING_POINT, whose)] if whose else []),
        *((codes.PROMISE, text) for text in sentences.promise_sentences(analysis)),
        (codes.COMPLETENESS, sentences.completeness_sentence(series)),
        (codes.LUNG_METHOD, sentences.ascii_text(analysis.lungs.method)),
        *((codes.QUALITY, text) for text in sentences.quality_sentences(series, analysis)),
        *((codes.COMPARISON, text) for text in sentences.prior_sentences(analysis, priors)),
    ]
    return [hd.TextContentItem(name, text, CONTAINS) for name, text in rows]
