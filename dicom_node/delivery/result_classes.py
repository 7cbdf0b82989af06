"""What this node may send: one row for each kind of result and form."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pipeline.encode.result.kinds import LABEL_MAP_STORAGE
from pipeline.results import ResultKind

TRANSFER_SYNTAX = ExplicitVRLittleEndian  #: of every object that we make
K = ResultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One kind of object.

    Attributes
    ----------
    setting
        Key and value in the section ``[results]`` that ask for it; empty if it is always made.
    """

    kind: ResultKind
    sop_class: UID
    setting: str = ""


SENT = (
    Sent(kind=K.SEGMENTATION, sop_class=SegmentationStorage, setting="segmentation = binary"),
    Sent(kind=K.SEGMENTATION, sop_class=LABEL_MAP_STORAGE, setting="segmentation = labelmap"),
    Sent(kind=K.REPORT, sop_class=Comprehensive3DSRStorage),
    Sent(kind=K.TEXT_REPORT, sop_class=EnhancedSRStorage, setting="text_report = yes"),
    Sent(kind=K.SUMMARY, sop_class=SecondaryCaptureImageStorage, setting="summary = yes"),
    Sent(kind=K.DOCUMENT, sop_class=EncapsulatedPDFStorage, setting="summary_pdf = yes"),
    Sent(kind=K.HEATMAP, sop_class=SecondaryCaptureImageStorage, setting="heatmap = single-frame"),
    Sent(
        kind=K.HEATMAP,
        sop_class=MultiFrameTrueColorSecondaryCaptureImageStorage,
        setting="heatmap = multi-frame",
    ),
    Sent(kind=K.PARAMETRIC_MAP, sop_class=ParametricMapStorage, setting="parametric_map = yes"),
    Sent(
        kind=K.KEY_IMAGES,
        sop_class=KeyObjectSelectionDocumentStorage,
        setting="key_images = yes",
    ),
    Sent(kind=K.NOTICE, sop_class=EnhancedSRStorage, setting="not_analysed = relevant, all"),
)
"""In the order of sending."""


def class_name(sop_class_uid: str) -> str:
    """Name of a SOP class, also of one newer than pydicom's dictionary."""
    if sop_class_uid == LABEL_MAP_STORAGE:
        return "Label Map Segmentation Storage"
    return UID(sop_class_uid).name
