"""Encode for a request: the context of its results, and their files."""

from __future__ import annotations

from dataclasses import replace

from pydicom.uid import UID

from dicom_node.analysis.worker.messages import AnalysisRequest, EncodedObject
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import TRANSFER_SYNTAXES
from pipeline.encode.result.result_objects import ResultObject
from pipeline.encode.result.series_numbers import ResultNumbering


def context_of(request: AnalysisRequest, key: str) -> ResultContext:
    """Make the context in which results are encoded."""
    config = request.config
    return ResultContext(
        key=key,
        equipment=config.equipment,
        generation=request.revision,
        predecessor=request.predecessor,
        superseded=request.superseded,
        priors=request.priors,
        numbering=request.numbering or ResultNumbering(first=config.series_number_base),
        created=request.created,
        products=config.products,
    )


def with_compressed_pixels(result: ResultObject) -> ResultObject:
    """Compress the pixels of a result already, if its SOP class is kept compressed."""
    from pipeline.encode.compression import compressed

    transfer_syntax = TRANSFER_SYNTAXES[UID(result.dataset.SOPClassUID)]
    if not transfer_syntax.is_encapsulated:
        return result
    return replace(result, dataset=compressed(result.dataset, transfer_syntax))


def pack(result: ResultObject, only_for: str = "") -> EncodedObject:
    """Make a Part 10 file of a result, in the transfer syntax of its SOP class."""
    from pipeline.encode.bundle import part10

    transfer_syntax = TRANSFER_SYNTAXES[UID(result.dataset.SOPClassUID)]
    return EncodedObject(
        kind=result.kind,
        sop_class_uid=str(result.dataset.SOPClassUID),
        sop_instance_uid=str(result.dataset.SOPInstanceUID),
        series_instance_uid=str(result.dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(transfer_syntax),
        part10=part10(result.dataset, transfer_syntax),
        only_for=only_for,
    )
