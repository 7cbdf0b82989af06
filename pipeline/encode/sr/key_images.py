"""Encode key images: a Key Object Selection (PS3.3 A.35.4, TID 2010) of slices with opacities.

The title is "Of Interest", not "For Report Attachment": the reader decides what goes into the
report.
"""

from __future__ import annotations

import highdicom.sr as hd
import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import KeyObjectSelectionDocumentStorage

from pipeline.encode.common.modules import add_anatomy, new_object
from pipeline.encode.language.translation import _, ngettext
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.source.key_slices import key_slice
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.document import (
    CONTAINS,
    add_evidence,
    add_requests,
    content_language,
    observation_context,
    separate,
)
from pipeline.types import Analysis, CtSeries

MAX_KEY_IMAGES = 5
"""As many as a reader takes in at a glance beside a report."""

MIN_APART_MM = 10.0
"""The slice thickness of a conventional chest CT: nearer slices show the same."""

MIN_SHARE_OF_LARGEST = 0.5
"""Share of the largest area of opacity on any slice that makes a slice a key image, unless it is
the key slice of an opacity."""


def key_images(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset | None:
    """Encode a selection of the slices with most opacity.

    Returns
    -------
    Dataset | None
        None if there is no opacity on a source slice.
    """
    slices = source_slices.real_slices(series)
    chosen = most_affected(series, analysis, slices)
    if not chosen:
        return None
    header, kind = series.common.header, ResultKind.KEY_IMAGES
    result = new_object(header, context, kind, KeyObjectSelectionDocumentStorage)
    result.ReferencedPerformedProcedureStepSequence = Sequence()
    add_anatomy(header, result)
    add_requests(result, header)
    add_evidence(result, chosen, None)
    result.update(_content(chosen, context)[0])
    return result


def most_affected(
    series: CtSeries, analysis: Analysis, slices: tuple[SourceSlice, ...]
) -> tuple[SourceSlice, ...]:
    """Choose key images: key slices of the opacities, then the slices with most opacity.

    The key slices come first, that of the largest opacity before the others, so that every
    opacity is shown once before any is shown twice. No slice lies near one chosen before it.

    Returns
    -------
    tuple
        At most `MAX_KEY_IMAGES`, the most important first.
    """
    chosen: list[SourceSlice] = []
    for item in [*_key_slices(analysis, slices), *_fullest(analysis, slices)]:
        apart = [abs(item.index - other.index) * series.volume.spacing_mm[0] for other in chosen]
        if len(chosen) < MAX_KEY_IMAGES and all(distance >= MIN_APART_MM for distance in apart):
            chosen.append(item)
    return tuple(chosen)


def _key_slices(analysis: Analysis, slices: tuple[SourceSlice, ...]) -> list[SourceSlice]:
    ordered = sorted(analysis.lesions, key=lambda lesion: lesion.number)
    keys = (key_slice(analysis, (lesion,), slices) for lesion in ordered)
    return [item for item in keys if item is not None]


def _fullest(analysis: Analysis, slices: tuple[SourceSlice, ...]) -> list[SourceSlice]:
    """Slices with much opacity, fullest first, the lowest of equals."""
    areas = {item.index: np.count_nonzero(analysis.lesion_labels[item.index]) for item in slices}
    enough = max(1, MIN_SHARE_OF_LARGEST * max(areas.values()))
    full = [item for item in slices if areas[item.index] >= enough]
    return sorted(full, key=lambda item: -areas[item.index])


def _content(chosen: tuple[SourceSlice, ...], context: ResultContext) -> hd.ContentSequence:
    """Key Object Selection, TID 2010; its references bear no concept name."""
    references = [_reference(item) for item in chosen]
    root = hd.ContainerContentItem(codes.KEY_OBJECTS_OF_INTEREST, template_id="2010")
    root.ContentSequence = hd.ContentSequence(
        [
            *content_language(),
            *observation_context(context.equipment),
            hd.TextContentItem(
                codes.KEY_OBJECT_DESCRIPTION, _description(chosen, context), CONTAINS
            ),
            *references,
        ]
    )
    for reference in references:
        del reference.ConceptNameCodeSequence  # highdicom asks for one, TID 2010 forbids it
    return hd.ContentSequence([separate(root)], is_root=True)


def _reference(item: SourceSlice) -> hd.ImageContentItem:
    return hd.ImageContentItem(
        codes.SOURCE,
        item.frame.sop_class_uid,
        item.frame.sop_instance_uid,
        referenced_frame_numbers=item.frame.frame_number,
        relationship_type=CONTAINS,
    )


def _description(chosen: tuple[SourceSlice, ...], context: ResultContext) -> str:
    chosen_by = ngettext(
        "{n} image chosen by an algorithm, unverified, research use: where each opacity is"
        " largest, then where most opacity is; at least {apart} mm apart, at most {most}, the"
        " largest opacity first.",
        "{n} images chosen by an algorithm, unverified, research use: where each opacity is"
        " largest, then where most opacity is; at least {apart} mm apart, at most {most}, the"
        " largest opacity first.",
        len(chosen),
        apart=f"{MIN_APART_MM:g}",
        most=MAX_KEY_IMAGES,
    )
    if context.generation == 1:
        return chosen_by
    replaces = _(
        "Revision {n}: this replaces earlier key images of the series.", n=context.generation
    )
    return f"{chosen_by} {replaces}"
