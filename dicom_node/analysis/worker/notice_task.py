"""Encode why a series was not analysed: the task that a worker runs for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict

from dicom_node.analysis.fetch.access import file_at_hand
from dicom_node.analysis.worker.encoding import context_of, pack
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.messages import EncodedObject, NoticeRequest
from dicom_node.analysis.worker.source_files import OF_THE_REQUEST
from dicom_node.errors import NoNotice
from dicom_node.network.bounded_header import HeaderTooLong, read_attributes
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultObject
from pipeline.errors import UnsuitableSeries
from pipeline.series.attributes import text
from pipeline.series.common_header import BY_FRAME, FILED_BY, ONE_PATIENT, ONE_STUDY, comparable

EVIDENCE = ("SpecificCharacterSet", *OF_THE_REQUEST, *ONE_PATIENT, *ONE_STUDY)
"""Attributes that a notice needs of each instance but the first."""


HEADER_BYTES = 1 << 22  #: of an instance, for a notice; usual ones have ten thousand


@as_analysis_fault
def notice(request: NoticeRequest) -> EncodedObject:
    """Encode why a series was not analysed, from its headers alone, one at a time.

    Raises
    ------
    NoNotice
        If nobody knows where it would belong: no patient and study are those of more than half of
        the instances, or a header cannot be read within `HEADER_BYTES`.
    dicom_node.errors.AnalysisFault
        For what nobody foresaw.
    """
    from pipeline.encode.sr.notice import not_analysed

    headers: list[Dataset] = []
    with disable_value_validation():
        for file in request.series.files:
            try:
                with file_at_hand(file.path) as path:
                    headers.append(_header(path, () if not headers else EVIDENCE))
            except UnsuitableSeries as fault:
                raise NoNotice(f"an instance cannot be fetched: {fault.text}") from fault
        headers = _filed_together(headers)
        context = context_of(request.series, request.key)
        dataset = not_analysed(headers, request.code, request.text, context)
        return pack(ResultObject(kind=ResultKind.NOTICE, dataset=dataset))


def _filed_together(headers: Sequence[Dataset]) -> list[Dataset]:
    """Choose the instances that an archive files with most of a series.

    Where a series names several patients or studies, its notice is of these: it is filed with
    them, references no other instance, and says no more than that the series was not analysed.

    Raises
    ------
    NoNotice
        If they are not more than half.
    """
    usual: dict[str, str] = {}
    chosen = list(headers)
    for keyword in FILED_BY:
        counts = Counter(value for header in chosen if (value := comparable(header, keyword)))
        if counts:
            usual[keyword] = counts.most_common(1)[0][0]
        chosen = [
            header for header in chosen if comparable(header, keyword) in {"", usual.get(keyword)}
        ]
    if 2 * len(chosen) <= len(headers):
        raise NoNotice("no patient and study are those of most instances")
    return chosen


def _header(path: Path, keywords: Sequence[str]) -> Dataset:
    """Read attributes of an instance, all if none are named, but what comes by frame."""
    try:
        meta, ds = read_attributes(
            path,
            [keyword_dict[name] for name in keywords],
            until=BY_FRAME,
            maximum_bytes=HEADER_BYTES,
        )
    except HeaderTooLong as fault:
        raise NoNotice(f"a header is longer than {HEADER_BYTES} bytes") from fault
    ds.SOPClassUID = text(ds, "SOPClassUID") or meta.sop_class_uid
    ds.SOPInstanceUID = text(ds, "SOPInstanceUID") or meta.sop_instance_uid
    return ds
