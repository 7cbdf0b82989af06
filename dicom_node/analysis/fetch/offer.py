"""Name the files of the node that a request gives to a worker, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.analysis.worker.messages import (
    AnalysisRequest,
    EndsRequest,
    FeedbackRequest,
    ImagesRequest,
    NoticeRequest,
    ShadowRequest,
    SourceFile,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedFile:
    """A file that the worker of a task may read.

    Attributes
    ----------
    path
        Where the node has it.
    digest
        SHA-256 under which it is kept: of an instance that was received, of its data set. Empty
        where the request has none.
    """

    path: Path
    digest: str = ""


def offered_files(request: object) -> tuple[OfferedFile, ...]:
    """List the files of a request, in the same order on both sides; none of anything else."""
    match request:
        case AnalysisRequest():
            begun = request.begun.kept if request.begun else None
            return (*_instances(request.files), *_kept(request.kept), *_kept(begun))
        case NoticeRequest():
            return offered_files(request.series)
        case ShadowRequest():
            return (*_instances(request.images.files), *_kept(request.kept))
        case ImagesRequest() | EndsRequest() | FeedbackRequest():
            return _instances(request.files)
        case _:
            return ()


def _instances(files: Sequence[SourceFile]) -> tuple[OfferedFile, ...]:
    return tuple(OfferedFile(path=file.path, digest=file.digest) for file in files)


def _kept(path: Path | None) -> tuple[OfferedFile, ...]:
    return () if path is None else (OfferedFile(path=path),)
