"""Compare the bytes of kept instances and results with the digests that were kept of them.

Reads everything once, a little at a time; changes nothing, and the node may run meanwhile.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node.network.file_meta import is_kept_as, sha256_from
from dicom_node.resources import Resources
from storage.files.folder import LATER
from storage.files.sums import read_sums
from storage.maintenance.consistency import Finding, Kind
from storage.results.kept_results import kept_folders
from storage.series.instances import kept_digests

PAGE = 500  #: rows read in one transaction


@dataclass(slots=True)
class Compared:
    """Number of files that were compared, and of results without kept digests.

    Attributes
    ----------
    without_digests
        Results of versions that kept none; their files were not compared.
    """

    files: int = 0
    without_digests: int = 0


def compare_contents(
    resources: Resources, compared: Compared, step: Callable[[], None] = lambda: None
) -> Iterator[Finding]:
    """List the files whose bytes are not those that were kept; missing ones are left out.

    Parameters
    ----------
    compared
        Counted up.
    step
        Called after each instance, and after each result.
    """
    for path, digest in _instances(resources):
        compared.files += 1
        if trouble := _trouble(resources.folder.locate(path), digest, is_kept_as):
            yield Finding(kind=Kind.INSTANCE_CHANGED, what=path, detail=trouble)
        step()
    for folder in _folders(resources):
        yield from _compare_result(resources, folder, compared)
        if resources.folder.locate(f"{folder}/{LATER}").is_dir():
            yield from _compare_result(resources, f"{folder}/{LATER}", compared)
        step()


def _compare_result(resources: Resources, folder: str, compared: Compared) -> Iterator[Finding]:
    try:
        sums = read_sums(resources.folder.locate(folder))
    except OSError as fault:
        yield Finding(kind=Kind.RESULT_CHANGED, what=folder, detail=_unread(fault))
        return
    compared.without_digests += not sums
    for name, digest in sorted(sums.items()):
        compared.files += 1
        if trouble := _trouble(resources.folder.locate(f"{folder}/{name}"), digest, _is_file):
            yield Finding(kind=Kind.RESULT_CHANGED, what=f"{folder}/{name}", detail=trouble)


def _trouble(path: Path, digest: str, is_same: Callable[[Path, str], bool]) -> str:
    """Say what is wrong with a file; empty if its bytes are those of the digest, or it is gone."""
    try:
        return "" if is_same(path, digest) else "another digest"
    except FileNotFoundError:
        return ""
    except OSError as fault:
        return _unread(fault)


def _unread(fault: OSError) -> str:
    return f"cannot be read: {errno.errorcode.get(fault.errno or 0, type(fault).__name__)}"


def _is_file(path: Path, digest: str) -> bool:
    return sha256_from(path, 0) == digest


def _instances(resources: Resources) -> Iterator[tuple[str, str]]:
    """Read paths and digests of instances, a page in a transaction."""
    after = ""
    while True:
        with resources.sessions.reading() as session:
            page = kept_digests(session, after, PAGE)
        if not page:
            return
        yield from page
        after = page[-1][0]


def _folders(resources: Resources) -> Iterator[str]:
    """Read the folders of results, a page in a transaction."""
    after = ""
    while True:
        with resources.sessions.reading() as session:
            page = kept_folders(session, after, PAGE)
        if not page:
            return
        yield from page
        after = page[-1]
