"""Encode the notice that a series was not analysed, with the reason.

No series is left out in silence: a missing result must not read as a negative one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedSRStorage

from pipeline.encode.common import sentences
from pipeline.encode.common.as_written import as_written
from pipeline.encode.common.code_meanings import translate_meanings
from pipeline.encode.common.modules import writing_for
from pipeline.encode.conformance.iod_check import conform
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import _, current_language
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source.copying import copy_elements
from pipeline.encode.source.series_name import series_name
from pipeline.encode.sr.document import evidence, new_document, source_procedure
from pipeline.encode.sr.text_report import Section, text_content
from pipeline.reasons import FailedReason, UnsuitableReason
from pipeline.series.common_header import common_header

SENTENCES = {str(reason): reason.sentence for reason in (*UnsuitableReason, *FailedReason)}
"""By their codes, the sentences of all reasons for a notice."""


def not_analysed(
    headers: Sequence[Dataset], code: str, text: str, context: ResultContext
) -> Dataset:
    """Encode the reason as a short text report beside the series.

    Parameters
    ----------
    headers
        One or more instances of the series; headers are enough.
    code
        Short, stable, lower-case reason code, such as ``too-few-slices``.
    text
        The reason in words, without patient identity.

    Raises
    ------
    ValueError
        If there is no header.
    PipelineError
        If the source has no Study Instance UID.
    """
    if not headers:
        raise ValueError("a notice needs at least one header of the series, got none")
    with disable_value_validation():
        common = common_header(headers).header
    with disable_value_validation(), writing_for(common, context.products.language):
        result = new_document(common, context, ResultKind.NOTICE, EnhancedSRStorage)
        result.CurrentRequestedProcedureEvidenceSequence = evidence(headers)
        copy_elements(common, result, ("BodyPartExamined",))
        result.update(
            text_content(
                codes.NOTICE_SERIES,
                (Section(heading=codes.CONCLUSIONS, paragraphs=_paragraphs(common, code, text)),),
                context.equipment,
                source_procedure(common),
            )
        )
        translate_meanings(result)
        conform(as_written(result), ResultKind.NOTICE)
    return result


def _paragraphs(header: Dataset, code: str, text: str) -> tuple[tuple[Code, str], ...]:
    return (
        (
            codes.SERIES_READ,
            _(
                "NOT analysed by the AI: {series}. The absence of an AI result says nothing about"
                " the patient.",
                series=series_name(header),
            ),
        ),
        (codes.SERIES_READ, _("Reason: {reason} ({code}).", reason=_reason(code, text), code=code)),
        (codes.NOTICE, _(sentences.RESEARCH_NOTICE)),
    )


def _reason(code: str, text: str) -> str:
    """Say the reason with its figures; in another language, the sentence of its code."""
    sentence = SENTENCES.get(code)
    if current_language() is Language.ENGLISH or sentence is None:
        return sentences.ascii_text(text.rstrip(". "))
    return _(sentence).rstrip(". ")
