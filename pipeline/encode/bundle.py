"""Encode an analysis as the objects that go back to the PACS, check them, and write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from pipeline.encode.common.code_meanings import translate_meanings
from pipeline.encode.common.modules import writing_for
from pipeline.encode.compression import compressed, is_compressed
from pipeline.encode.conformance.outgoing_check import check
from pipeline.encode.heatmap.parametric_map import parametric_map
from pipeline.encode.heatmap.sop_instances import heatmap
from pipeline.encode.page.layout import page
from pipeline.encode.page.sop_instances import document, summary_page
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import derived_uid
from pipeline.encode.result.kinds import RESULT_KINDS, ResultKind
from pipeline.encode.result.products import HeatmapForm, SegmentationForm
from pipeline.encode.result.result_objects import ResultBundle, ResultObject
from pipeline.encode.seg.segmentation import segmentation
from pipeline.encode.sr.key_images import key_images
from pipeline.encode.sr.report import report
from pipeline.encode.sr.text_report import text_report
from pipeline.encode.summary import summary
from pipeline.types import Analysis, CtSeries

__all__ = ["check", "encode", "part10", "summary"]

IMPLEMENTATION_CLASS_UID = derived_uid("dicom-node", "implementation")
"""Implementation Class UID (PS3.7 D.3.3.2) of everything this node writes."""

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"

ORDER = tuple(RESULT_KINDS)  #: of sending


def encode(series: CtSeries, analysis: Analysis, context: ResultContext) -> ResultBundle:
    """Encode the products that the site wants, in the order of sending, and check them.

    Raises
    ------
    PipelineError
        If there is nothing to segment, or the bundle does not fit its source (see `check`).

    Notes
    -----
    Values of the source are taken as they are, also where they break a rule of the standard
    (UIDs with letters); pydicom's complaints about them are switched off meanwhile.
    """
    first = encode_first(series, analysis, context)
    others = check_others(make_others(series, analysis, context), series, first)
    return replace(first, objects=(*first.objects, *others.objects))


def encode_first(series: CtSeries, analysis: Analysis, context: ResultContext) -> ResultBundle:
    """Encode what comes first (`ResultKindRow.comes_first`); raises as `encode`."""
    expected, got = series.volume.shape, analysis.lungs.labels.shape
    if got != expected:
        raise ValueError(f"expected an analysis of shape {expected}, got {got}")
    return _checked(_made(_first(series, analysis, context), series, context), series, context.key)


def make_others(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[ResultObject]:
    """Encode the other products one by one; this needs nothing of those that come first.

    They are not checked yet (`check_others`). To be used up by the thread that began with it.
    """
    return _made(_others(series, analysis, context), series, context)


def check_others(
    made: Iterable[ResultObject], series: CtSeries, first: ResultBundle
) -> ResultBundle:
    """Check the other products, which may refer to those that came first; raises as `encode`."""
    return _checked(made, series, first.key, first)


def _made(
    encoded: Iterator[tuple[ResultKind, Dataset]], series: CtSeries, context: ResultContext
) -> Iterator[ResultObject]:
    """Encode objects in the site's language, whatever values the source has."""
    with disable_value_validation(), writing_for(series.common.header, context.products.language):
        for kind, dataset in encoded:
            translate_meanings(dataset)
            yield ResultObject(kind=kind, dataset=dataset)


def _checked(
    made: Iterable[ResultObject], series: CtSeries, key: str, before: ResultBundle | None = None
) -> ResultBundle:
    """Put objects in the order of sending, and check them."""
    objects = tuple(sorted(made, key=lambda item: ORDER.index(item.kind)))
    with disable_value_validation():
        return check(ResultBundle(key=key, objects=objects), series, before)


def _first(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[tuple[ResultKind, Dataset]]:
    products = context.products
    referable = None  # the report refers to a binary segmentation only (see `report`)
    if products.segmentation is not SegmentationForm.NONE:
        masks = segmentation(series, analysis, context)
        referable = masks if products.segmentation is SegmentationForm.BINARY else None
        yield ResultKind.SEGMENTATION, masks
    yield ResultKind.REPORT, report(series, analysis, context, referable)
    if products.text_report:
        yield ResultKind.TEXT_REPORT, text_report(series, analysis, context)
    yield from _pages(series, analysis, context)


def _others(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[tuple[ResultKind, Dataset]]:
    products = context.products
    if products.heatmap is not HeatmapForm.NONE:
        for capture in heatmap(series, analysis, context):
            yield ResultKind.HEATMAP, capture
    if products.parametric_map:
        yield ResultKind.PARAMETRIC_MAP, parametric_map(series, analysis, context)
    selection = key_images(series, analysis, context) if products.key_images else None
    if selection is not None:
        yield ResultKind.KEY_IMAGES, selection


def _pages(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[tuple[ResultKind, Dataset]]:
    if context.products.summary:
        drawn = page(series, analysis, context)
        yield ResultKind.SUMMARY, summary_page(series, context, drawn)
    if context.products.summary_pdf:
        yield ResultKind.DOCUMENT, document(series, analysis, context)


def part10(dataset: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Part 10 file of a result (PS3.10 section 7); the values are the same in each syntax."""
    if transfer_syntax.is_encapsulated and not is_compressed(dataset):
        dataset = compressed(dataset, transfer_syntax)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()
