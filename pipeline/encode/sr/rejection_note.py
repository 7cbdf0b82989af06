"""Encode a rejection note: the earlier results that these supersede at one destination.

A Key Object Selection (PS3.3 A.35.4, TID 2010), as IHE's Imaging Object Change Management has it
(RAD TF-3 4.66). Its title is "Rejected for Quality Reasons": of the titles that IOCM knows, the
others say that an object endangers the patient, is of the wrong patient or order, or that its time
is over. Archives hide what is rejected for its quality; they need not delete it.
"""

from __future__ import annotations

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

from pipeline.encode.common.as_written import as_written
from pipeline.encode.common.code_meanings import translate_meanings
from pipeline.encode.common.modules import new_object, writing_for
from pipeline.encode.conformance import iod
from pipeline.encode.conformance.iod_check import conform
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.sr.document import (
    CONTAINS,
    add_requests,
    by_study,
    content_language,
    observation_context,
    separate,
)


def rejection_note(
    header: Dataset, rejection: Rejection, context: ResultContext, number: int = 1
) -> Dataset:
    """Encode the note for one destination.

    Parameters
    ----------
    header
        Of any instance of the source series.
    number
        The n-th note of the result.

    Raises
    ------
    ValueError
        If there is nothing to reject.
    ConformanceError
        If the note is not as the standard has it.
    """
    if not rejection.objects:
        raise ValueError("a note needs at least one object that it rejects, got none")
    kind = ResultKind.REJECTION_NOTE
    with disable_value_validation(), writing_for(header, context.products.language):
        result = new_object(header, context, kind, KeyObjectSelectionDocumentStorage, number)
        result.ReferencedPerformedProcedureStepSequence = Sequence()
        add_requests(result, header)
        result.CurrentRequestedProcedureEvidenceSequence = by_study(rejection.objects)
        result.update(_content(rejection, context)[0])
        translate_meanings(result)
        conform(as_written(result), kind)
    return result


def _content(rejection: Rejection, context: ResultContext) -> hd.ContentSequence:
    """Key Object Selection, TID 2010; its references bear no concept name."""
    references = [_reference(item) for item in rejection.objects]
    said = _("Superseded by revision {n} of the results of this series.", n=context.generation)
    root = hd.ContainerContentItem(codes.REJECTED_FOR_QUALITY, template_id="2010")
    root.ContentSequence = hd.ContentSequence(
        [
            *content_language(),
            *observation_context(context.equipment),
            hd.TextContentItem(codes.KEY_OBJECT_DESCRIPTION, said, CONTAINS),
            *references,
        ]
    )
    for reference in references:
        del reference.ConceptNameCodeSequence  # highdicom asks for one, TID 2010 forbids it
    return hd.ContentSequence([separate(root)], is_root=True)


def _reference(item: ReportReference) -> hd.ImageContentItem | hd.CompositeContentItem:
    sop_class = item.sop_class_uid
    is_image = not (iod.has_content_tree(sop_class) or sop_class == EncapsulatedPDFStorage)
    form = hd.ImageContentItem if is_image else hd.CompositeContentItem
    return form(codes.SOURCE, sop_class, item.sop_instance_uid, relationship_type=CONTAINS)
