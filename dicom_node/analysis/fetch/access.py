"""Give a task, in its worker, the files that its request names.

A worker that sees the storage folder reads them there. One that does not fetches them from the node
(`dicom_node.analysis.fetch.fetching`); the task does not notice, but that they are gone after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dicom_node.analysis.worker.messages import SourceFile

FETCH_FOLDER = "DICOM_NODE_FETCH_FOLDER"
"""Environment variable of a worker: it fetches files into this folder; else it sees them."""


class FileAccess(Protocol):
    """The way of a task to the files of the node.

    Attributes
    ----------
    fetches
        Whether files are fetched, and gone after the task.
    """

    fetches: bool

    def at_hand(self, paths: Sequence[Path], /) -> AbstractContextManager[Sequence[Path]]:
        """Have files here; give where they are.

        Raises
        ------
        dicom_node.errors.NotFetched, dicom_node.errors.AlteredFile
            If they cannot be fetched, or are not those that the node keeps.
        pipeline.errors.UnsuitableSeries
            ``too-large``.
        OSError
            If the node cannot read one.
        """
        ...


class InPlace:
    """Files are read where the node has them."""

    fetches = False

    @contextmanager
    def at_hand(self, paths: Sequence[Path], /) -> Iterator[Sequence[Path]]:
        """Give the same paths."""
        yield paths


IN_PLACE = InPlace()  #: the way of whoever sees the storage folder
_current: ContextVar[FileAccess] = ContextVar("way of this task to the files", default=IN_PLACE)


@contextmanager
def by_way_of(access: FileAccess) -> Iterator[None]:
    """Have what runs in this block use a way to the files."""
    before = _current.set(access)
    try:
        yield
    finally:
        _current.reset(before)


def files_are_fetched() -> bool:
    """Whether files are fetched for this task, and gone after it."""
    return _current.get().fetches


@contextmanager
def file_at_hand(path: Path) -> Iterator[Path]:
    """Have one file here; raises as `FileAccess.at_hand`."""
    with _current.get().at_hand([path]) as (here,):
        yield here


@contextmanager
def files_at_hand(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, ...]]:
    """Have the instances of a series here; raises as `FileAccess.at_hand`."""
    with _current.get().at_hand([file.path for file in files]) as paths:
        yield tuple(replace(file, path=path) for file, path in zip(files, paths, strict=True))
