"""Table of the result kinds: forms, series, substitutes and succession, one row for a kind.

A new kind needs a member of `ResultKind`, a row of `RESULT_KINDS`, an encoder, a call of it in
`pipeline.encode.bundle`, and its conditional attributes in `pipeline.encode.conformance.iod`.
Everything else reads this table: series attributes, proposed SOP classes, fallbacks, the
conformance statement, and the documents that storage looks up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pipeline.encode.result import codes

LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Label Map Segmentation Storage (PS3.4 B.5); pydicom 3.0 has no name for it."""


class ResultKind(StrEnum):
    """Kinds of result object; their properties are in `pipeline.encode.result.kinds`."""

    SEGMENTATION = "segmentation"
    REPORT = "report"  #: measurements, for machines and viewers
    TEXT_REPORT = "text-report"  #: the same in sentences, for every viewer
    SUMMARY = "summary"  #: one page, a series of its own
    DOCUMENT = "document"  #: the page as PDF
    HEATMAP = "heatmap"
    PARAMETRIC_MAP = "parametric-map"
    KEY_IMAGES = "key-images"
    NOTICE = "notice"  #: the reason why a series was not analysed; in no bundle
    REJECTION_NOTE = "rejection-note"  #: of earlier results, for one destination; in no bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultForm:
    """One form of a kind: the SOP class, and the setting that asks for it.

    Attributes
    ----------
    setting
        Key and value in the section ``[results]``; empty if the form is always made.
    fallback
        SOP class of another form of the kind, with the same content, that more destinations
        accept; made instead where a destination declines this one.
    name
        Name of the form for people; empty where the kind has no other form.
    transfer_syntax
        Lossless; in which the objects are kept, and sent to destinations that take it.
    """

    sop_class: UID
    setting: str = ""
    fallback: UID | None = None
    name: str = ""
    transfer_syntax: UID = ExplicitVRLittleEndian


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultKindRow:
    """Properties that all objects of a kind share.

    Attributes
    ----------
    forms
        Every form in which the kind may be made.
    series_offset
        Added to the first Series Number of the result.
    modality
        Modality of the series.
    description
        Content of the series, as Series Description names it behind "AI on series N:".
    code
        Series Description Code.
    substitutes
        Kinds that carry the message where a destination declines this one, the best first.
    supersedes
        Whether the object supersedes the one of its kind in the earlier result; that one is
        named as a predecessor by its successor or by the main document.
    comes_first
        Whether it is kept and sent while the others are still encoded: what a reader wants at
        once, and what that refers to.
    stands_for_result
        Whether it is the main document of a result: the one that later results and reports of
        other studies refer to.
    """

    forms: tuple[ResultForm, ...]
    series_offset: int
    modality: str
    description: str
    code: Code
    substitutes: tuple[ResultKind, ...] = ()
    supersedes: bool = False
    comes_first: bool = False
    stands_for_result: bool = False


_SENTENCES = (ResultKind.SUMMARY, ResultKind.TEXT_REPORT, ResultKind.REPORT)

RESULT_KINDS: Mapping[ResultKind, ResultKindRow] = MappingProxyType(
    {
        ResultKind.SUMMARY: ResultKindRow(
            forms=(
                ResultForm(
                    sop_class=SecondaryCaptureImageStorage,
                    setting="summary = yes",
                    transfer_syntax=JPEG2000Lossless,
                ),
            ),
            series_offset=0,
            modality="OT",
            description="summary",
            code=codes.SUMMARY_SERIES,
            substitutes=(ResultKind.TEXT_REPORT, ResultKind.REPORT),
            comes_first=True,
        ),
        ResultKind.REPORT: ResultKindRow(
            forms=(ResultForm(sop_class=Comprehensive3DSRStorage),),
            series_offset=2,
            modality="SR",
            description="measurements",
            code=codes.IMAGING_MEASUREMENT_REPORT,
            substitutes=(ResultKind.TEXT_REPORT, ResultKind.SUMMARY),
            supersedes=True,
            stands_for_result=True,
            comes_first=True,
        ),
        ResultKind.TEXT_REPORT: ResultKindRow(
            forms=(ResultForm(sop_class=EnhancedSRStorage, setting="text_report = yes"),),
            series_offset=3,
            modality="SR",
            description="text report",
            code=codes.PRELIMINARY_TEXT,
            substitutes=(ResultKind.REPORT, ResultKind.SUMMARY),
            supersedes=True,
            comes_first=True,
        ),
        ResultKind.DOCUMENT: ResultKindRow(
            forms=(ResultForm(sop_class=EncapsulatedPDFStorage, setting="summary_pdf = yes"),),
            series_offset=8,
            modality="DOC",
            description="summary (PDF)",
            code=codes.SUMMARY_SERIES,
            substitutes=_SENTENCES,
            comes_first=True,
        ),
        ResultKind.SEGMENTATION: ResultKindRow(
            forms=(
                ResultForm(
                    sop_class=SegmentationStorage,
                    setting="segmentation = binary",
                    name="binary segmentation",
                    transfer_syntax=DeflatedExplicitVRLittleEndian,  # RLE has no bits: PS3.5 8.2.2
                ),
                ResultForm(
                    sop_class=LABEL_MAP_STORAGE,
                    setting="segmentation = labelmap",
                    fallback=SegmentationStorage,
                    name="label map",
                    transfer_syntax=RLELossless,
                ),
            ),
            series_offset=1,
            modality="SEG",
            description="segmentation",
            code=codes.SEGMENTATION,
            substitutes=(ResultKind.HEATMAP, ResultKind.SUMMARY),
            comes_first=True,
        ),
        ResultKind.KEY_IMAGES: ResultKindRow(
            forms=(
                ResultForm(sop_class=KeyObjectSelectionDocumentStorage, setting="key_images = yes"),
            ),
            series_offset=7,
            modality="KO",
            description="key images",
            code=codes.OF_INTEREST_SERIES,
            substitutes=_SENTENCES,
            supersedes=True,
        ),
        ResultKind.HEATMAP: ResultKindRow(
            forms=(
                ResultForm(
                    sop_class=SecondaryCaptureImageStorage,
                    setting="heatmap = single-frame",
                    name="single-frame heatmap",
                    transfer_syntax=JPEG2000Lossless,
                ),
                ResultForm(
                    sop_class=MultiFrameTrueColorSecondaryCaptureImageStorage,
                    setting="heatmap = multi-frame",
                    fallback=SecondaryCaptureImageStorage,
                    name="multi-frame heatmap",
                    transfer_syntax=JPEG2000Lossless,
                ),
            ),
            series_offset=4,
            modality="OT",
            description="heatmap",
            code=codes.HEATMAP_SERIES,
            substitutes=(ResultKind.SEGMENTATION, ResultKind.SUMMARY),
        ),
        ResultKind.PARAMETRIC_MAP: ResultKindRow(
            forms=(
                ResultForm(
                    sop_class=ParametricMapStorage,
                    setting="parametric_map = yes",
                    transfer_syntax=DeflatedExplicitVRLittleEndian,  # no codec has floats
                ),
            ),
            series_offset=6,
            modality="OT",
            description="activation map",
            code=codes.ACTIVATION_SERIES,
            substitutes=_SENTENCES,
        ),
        ResultKind.NOTICE: ResultKindRow(
            forms=(
                ResultForm(sop_class=EnhancedSRStorage, setting="not_analysed = relevant, all"),
            ),
            series_offset=5,
            modality="SR",
            description="not analysed",
            code=codes.NOTICE_SERIES,
            supersedes=True,
            stands_for_result=True,
            comes_first=True,
        ),
        ResultKind.REJECTION_NOTE: ResultKindRow(
            forms=(
                ResultForm(
                    sop_class=KeyObjectSelectionDocumentStorage,
                    setting="rejection_notes = yes of a destination",
                ),
            ),
            series_offset=9,
            modality="KO",
            description="rejection of earlier results",
            code=codes.REJECTED_FOR_QUALITY,
        ),
    }
)
"""In the order in which the objects of a result are sent: what a reader wants first comes first."""

TRANSFER_SYNTAXES: Mapping[UID, UID] = MappingProxyType(
    {form.sop_class: form.transfer_syntax for row in RESULT_KINDS.values() for form in row.forms}
)
"""SOP class to the transfer syntax in which its objects are kept."""

SUBSTITUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        str(kind): tuple(map(str, row.substitutes))
        for kind, row in RESULT_KINDS.items()
        if row.substitutes
    }
)
"""Kinds that have substitutes, as strings: storage knows no kinds."""

FIRST = frozenset(str(kind) for kind, row in RESULT_KINDS.items() if row.comes_first)


def comes_first(kind: str) -> bool:
    """Say whether objects of a kind are kept and sent while the others are still encoded."""
    return kind in FIRST


MAIN_DOCUMENTS = tuple(kind for kind, row in RESULT_KINDS.items() if row.stands_for_result)
"""A result has one of them."""

SUPERSEDING = tuple(kind for kind, row in RESULT_KINDS.items() if row.supersedes)
"""Documents, the main ones included, that supersede those of the earlier result."""
