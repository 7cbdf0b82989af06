"""Turn the result of an analysis into files and rows."""

from __future__ import annotations

import json

from dicom_node.analysis.worker.messages import Analysed, EncodedObject
from storage.files.sums import with_sums
from storage.results.kept_results import NewObject, NewResult

KEPT = "analysis.npz"  #: file of the undecided analysis (`pipeline.analysis_file`)


def objects_by_name(analysed: Analysed) -> list[tuple[str, EncodedObject]]:
    """Give each object a file name, in the order of sending."""
    return [(file_name(n, encoded), encoded) for n, encoded in enumerate(analysed.objects)]


def file_name(position: int, encoded: EncodedObject) -> str:
    """Name the file of an object."""
    return f"{position:04d}-{encoded.kind}.dcm"


def files_of(analysed: Analysed) -> dict[str, bytes]:
    """Name the files of a result; one lists the digests of the others."""
    objects = {name: encoded.part10 for name, encoded in objects_by_name(analysed)}
    return with_sums({KEPT: analysed.kept, **objects})


def new_result(analysed: Analysed, folder: str) -> NewResult:
    """Make the row of a result."""
    return NewResult(
        key=analysed.key,
        inputs=analysed.inputs,
        model=analysed.model,
        score=analysed.score,
        positive=analysed.positive,
        priors=analysed.priors,
        summary=json.dumps(analysed.summary),
        folder=folder,
    )


def new_object(encoded: EncodedObject, path: str) -> NewObject:
    """Make the row of an encoded object."""
    return NewObject(
        sop_instance_uid=encoded.sop_instance_uid,
        kind=encoded.kind,
        sop_class_uid=encoded.sop_class_uid,
        series_instance_uid=encoded.series_instance_uid,
        transfer_syntax_uid=encoded.transfer_syntax_uid,
        path=path,
        only_for=encoded.only_for,
    )
