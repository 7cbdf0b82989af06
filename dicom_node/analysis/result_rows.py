"""Answers of the engine turned into files and rows."""

from __future__ import annotations

import json

from dicom_node.analysis.messages import Analysed, EncodedObject
from storage.results.rows import NewObject, NewResult

KEPT = (
    "analysis.npz"  #: the undecided analysis (`pipeline.analysis_file`) in the folder of a result
)


def named(answer: Analysed) -> list[tuple[str, EncodedObject]]:
    """Give each object a file name, in the order of sending."""
    return [(file_name(n, each), each) for n, each in enumerate(answer.objects)]


def file_name(position: int, encoded: EncodedObject) -> str:
    """Name the file of an object."""
    return f"{position:04d}-{encoded.kind}.dcm"


def files_of(answer: Analysed) -> dict[str, bytes]:
    """Name the files of a result."""
    return {KEPT: answer.kept, **{name: each.part10 for name, each in named(answer)}}


def new_result(answer: Analysed, folder: str) -> NewResult:
    """Turn an answer of the engine into its row."""
    return NewResult(
        key=answer.key,
        model=answer.model,
        score=answer.score,
        positive=answer.positive,
        priors=answer.priors,
        summary=json.dumps(answer.summary),
        folder=folder,
    )


def new_object(encoded: EncodedObject, path: str) -> NewObject:
    """Turn an encoded object into its row."""
    return NewObject(
        sop_instance_uid=encoded.sop_instance_uid,
        kind=encoded.kind,
        sop_class_uid=encoded.sop_class_uid,
        series_instance_uid=encoded.series_instance_uid,
        transfer_syntax_uid=encoded.transfer_syntax_uid,
        path=path,
    )
