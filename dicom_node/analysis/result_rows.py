"""Turn the result of an analysis into files and rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dicom_node.analysis.worker.messages import Analysed, EncodedObject
from pipeline.encode.result.kinds import comes_first
from storage.database.schema import MAX_DEVICE
from storage.files.folder import LATER
from storage.files.sums import with_sums
from storage.results.kept_results import NewObject, NewResult

KEPT = "analysis.npz"  #: file of the undecided analysis (`pipeline.analysis_file`)


def new_objects(encoded: Sequence[EncodedObject], folder: str) -> list[NewObject]:
    """Make the rows of the objects of a result, in the order of sending.

    Parameters
    ----------
    folder
        Of the result: what does not come first is in a folder within.
    """
    return [_new_object(one, f"{folder}/{_path(n, one)}") for n, one in enumerate(encoded)]


def first_files(analysed: Analysed) -> dict[str, bytes]:
    """Name the files that come first: the analysis, and what a reader wants at once."""
    return with_sums({KEPT: analysed.kept, **_files(analysed, first=True)})


def later_files(analysed: Analysed) -> dict[str, bytes]:
    """Name the files of the other objects; empty if there is none."""
    files = _files(analysed, first=False)
    return with_sums(files) if files else {}


def _files(analysed: Analysed, *, first: bool) -> dict[str, bytes]:
    return {
        file_name(n, one): one.part10
        for n, one in enumerate(analysed.objects)
        if comes_first(one.kind) is first
    }


def _path(position: int, encoded: EncodedObject) -> str:
    name = file_name(position, encoded)
    return name if comes_first(encoded.kind) else f"{LATER}/{name}"


def file_name(position: int, encoded: EncodedObject) -> str:
    """Name the file of an object."""
    return f"{position:04d}-{encoded.kind}.dcm"


def new_result(analysed: Analysed, folder: str, *, begun_on: str = "") -> NewResult:
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
        begun_on=begun_on,
        scanner=_device(analysed, "scanner"),
        kernel=_device(analysed, "kernel"),
    )


def _device(analysed: Analysed, name: str) -> str:
    """Give the name of the scanner, or the kernel, that a summary has; printable, and cut."""
    words = str(analysed.summary.get("acquisition", {}).get(name, ""))
    return "".join(char if char.isprintable() else " " for char in words)[:MAX_DEVICE].strip()


def _new_object(encoded: EncodedObject, path: str) -> NewObject:
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
