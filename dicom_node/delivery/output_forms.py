"""The forms of results that every destination takes, as far as they have said.

A result has one form for all destinations: it is one set of objects, and one report refers to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pydicom.uid import (
    UID,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pipeline.encode.result.kinds import LABEL_MAP_STORAGE
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from storage.delivery.capabilities import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackForm:
    """The plainer form of a result, which says the same and which more destinations take."""

    sop_class: UID
    name: str


FALLBACK_FORMS: Mapping[UID, FallbackForm] = MappingProxyType(
    {
        LABEL_MAP_STORAGE: FallbackForm(sop_class=SegmentationStorage, name="binary segmentation"),
        MultiFrameTrueColorSecondaryCaptureImageStorage: FallbackForm(
            sop_class=SecondaryCaptureImageStorage, name="single-frame heatmap"
        ),
    }
)
"""SOP class to what is made instead of it."""


def supported_forms(products: Products, known: Iterable[Collection[Capability]]) -> Products:
    """Choose forms that the destinations take.

    Parameters
    ----------
    known
        What each destination has said it takes; nothing of one that was never asked.

    Returns
    -------
    Products
        As wanted, but in the plainer form where a destination declines the one wanted and takes
        the plainer.
    """
    answers = [{each.sop_class_uid: each.is_accepted for each in said} for said in known]
    if products.segmentation is SegmentationForm.LABELMAP and _needed(LABEL_MAP_STORAGE, answers):
        products = replace(products, segmentation=SegmentationForm.BINARY)
    frames = MultiFrameTrueColorSecondaryCaptureImageStorage
    if products.heatmap is HeatmapForm.MULTI_FRAME and _needed(frames, answers):
        products = replace(products, heatmap=HeatmapForm.SINGLE_FRAME)
    return products


def _needed(sop_class: UID, answers: Iterable[Mapping[str, bool]]) -> bool:
    plainer = FALLBACK_FORMS[sop_class].sop_class
    return any(said.get(sop_class) is False and said.get(plainer) for said in answers)
