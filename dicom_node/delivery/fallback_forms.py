"""Choose forms of results that every destination accepts, as far as their answers are known.

A result has one form for all destinations: it is one set of objects, and one report refers to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node.network.presentation_contexts import DEFAULT_TRANSFER_SYNTAX
from pipeline.encode.result.kinds import LABEL_MAP_STORAGE, RESULT_KINDS, ResultForm
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from storage.delivery.capabilities import Capability

UNCOMPRESSED = {ExplicitVRLittleEndian, DEFAULT_TRANSFER_SYNTAX}

FALLBACK_FORMS: Mapping[UID, ResultForm] = MappingProxyType(
    {
        form.sop_class: other
        for row in RESULT_KINDS.values()
        for form in row.forms
        for other in row.forms
        if other.sop_class == form.fallback
    }
)
"""SOP class to the form that is made where a destination declines it."""


def supported_forms(products: Products, known: Iterable[Collection[Capability]]) -> Products:
    """Replace forms that a destination declines by their fallback.

    Parameters
    ----------
    products
        As the site wants them.
    known
        Answers of each destination; empty for one that was never probed.

    Returns
    -------
    Products
        As wanted, but in the fallback form where a destination declines the one wanted and
        accepts the fallback, and coarse where one takes pictures uncompressed only.
    """
    known = list(known)
    if products.coarse_if_uncompressed and any(map(_takes_uncompressed_only, known)):
        products = products.coarse()
    answers = [
        {capability.sop_class_uid: capability.is_accepted for capability in capabilities}
        for capabilities in known
    ]
    if products.segmentation is SegmentationForm.LABELMAP and _needs_fallback(
        LABEL_MAP_STORAGE, answers
    ):
        products = replace(products, segmentation=SegmentationForm.BINARY)
    if products.heatmap is HeatmapForm.MULTI_FRAME and _needs_fallback(
        MultiFrameTrueColorSecondaryCaptureImageStorage, answers
    ):
        products = replace(products, heatmap=HeatmapForm.SINGLE_FRAME)
    return products


def _takes_uncompressed_only(known: Collection[Capability]) -> bool:
    syntaxes = {capability.sop_class_uid: capability.transfer_syntax_uid for capability in known}
    return syntaxes.get(SecondaryCaptureImageStorage) in UNCOMPRESSED


def _needs_fallback(sop_class: UID, answers: Iterable[Mapping[str, bool]]) -> bool:
    """Tell whether some destination declines the class and accepts its fallback."""
    fallback = FALLBACK_FORMS[sop_class].sop_class
    return any(
        accepted.get(sop_class) is False and accepted.get(fallback, False) for accepted in answers
    )
