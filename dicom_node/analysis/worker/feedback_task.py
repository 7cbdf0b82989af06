"""Read documents as answers to results: the task that a worker runs for a series of them.

Whoever may send may write anything into a document: only a worker, which may die of it, parses it.
A worker is not given the key of the installation, which would tell it of every patient: of this one
it has the images. Its answer has plain digests, which the node keys before it writes them down.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.config import disable_value_validation

from dicom_node.analysis.fetch.access import file_at_hand
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.messages import Answered, FeedbackRequest, Unsuitable
from dicom_node.analysis.worker.source_files import OF_THE_REQUEST, parsing
from dicom_node.network.bounded_header import HeaderTooLong, read_attributes
from dicom_node.reception.header import attribute_digest
from pipeline.errors import UnsuitableSeries
from pipeline.feedback.answers import Assessment
from pipeline.feedback.read import read_assessment
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import text

DOCUMENT_BYTES = 1 << 22  #: of one document; a rejection note of a thousand objects has a twentieth
CONTENT_END = 0x7FE00000  #: pixel data, which no document has; behind it are signatures and padding


@as_analysis_fault
def read_feedback(request: FeedbackRequest) -> Answered | Unsuitable:
    """Read the documents of a series; say why it holds no answer, if none of them does.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    documents: list[Assessment] = []
    reason = UnsuitableSeries(UnsuitableReason.NO_INSTANCES, "documents expected, got none")
    with disable_value_validation():
        for file in request.files:
            try:
                with file_at_hand(file.path) as path:
                    documents.append(_read(path, request.own_uids))
            except UnsuitableSeries as fault:
                reason = fault
    if documents:
        return Answered(documents=tuple(documents))
    return Unsuitable(code=reason.code, text=f"{reason.text.rstrip('.')}.")


def _read(path: Path, own_uids: frozenset[str]) -> Assessment:
    with parsing():
        document = _document(path)
        if text(document, "InstanceCreatorUID") in own_uids:
            raise UnsuitableSeries(
                UnsuitableReason.OWN_RESULT, "The document is a result of this node"
            )
        return replace(
            read_assessment(document),
            patient_sha256=attribute_digest(document, "PatientID"),
            birth_sha256=attribute_digest(document, "PatientBirthDate"),
        )


def _document(path: Path) -> Dataset:
    try:
        meta, document = read_attributes(path, until=CONTENT_END, maximum_bytes=DOCUMENT_BYTES)
    except HeaderTooLong as fault:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT,
            f"a document of at most {DOCUMENT_BYTES} bytes expected, got a longer one",
        ) from fault
    for keyword, uid in zip(
        OF_THE_REQUEST, (meta.sop_class_uid, meta.sop_instance_uid), strict=True
    ):
        if not text(document, keyword):
            setattr(document, keyword, uid)
    return document
