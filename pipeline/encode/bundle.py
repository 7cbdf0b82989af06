"""From an analysis to the objects that go back to the PACS, checked, and to their bytes."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from pipeline.encode.check import check
from pipeline.encode.heatmap import heatmap
from pipeline.encode.identity import ResultContext, derived_uid
from pipeline.encode.seg import segmentation
from pipeline.encode.sr import report
from pipeline.encode.summary import summary
from pipeline.encode.text_report import text_report
from pipeline.types import Analysis, CtSeries, ResultBundle, ResultKind, ResultObject

__all__ = ["check", "encode", "part10", "summary"]

IMPLEMENTATION_CLASS_UID = derived_uid("dicom-node", "implementation")
"""Implementation Class UID (PS3.7 D.3.3.2) of everything this node writes."""

IMPLEMENTATION_VERSION_NAME = "DICOM_NODE"


def encode(series: CtSeries, analysis: Analysis, context: ResultContext) -> ResultBundle:
    """Encode segmentation, reports and heatmap, in the order in which they should be sent.

    Raises
    ------
    PipelineError
        If there is nothing to segment, or the bundle does not fit its source (see `check`).

    Notes
    -----
    Values of the source are taken as they are, also where they break a rule of the standard
    (UIDs with letters); pydicom's complaints about them are switched off meanwhile.
    """
    expected, got = series.volume.shape, analysis.lungs.labels.shape
    if got != expected:
        raise ValueError(f"expected an analysis of shape {expected}, got {got}")
    with disable_value_validation():
        bundle = ResultBundle(key=context.key, objects=_objects(series, analysis, context))
        check(bundle, series)
    return bundle


def _objects(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> tuple[ResultObject, ...]:
    masks = segmentation(series, analysis, context)
    reports = [report(series, analysis, context, masks)]
    if context.text_report:
        reports.append(text_report(series, analysis, context))
    captures = heatmap(series, analysis, context) if context.heatmap else ()
    return (
        ResultObject(kind=ResultKind.SEGMENTATION, dataset=masks),
        *(ResultObject(kind=ResultKind.REPORT, dataset=dataset) for dataset in reports),
        *(ResultObject(kind=ResultKind.HEATMAP, dataset=dataset) for dataset in captures),
    )


def part10(dataset: Dataset) -> bytes:
    """Part 10 file of a result, explicit VR little endian (PS3.10 section 7)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()
