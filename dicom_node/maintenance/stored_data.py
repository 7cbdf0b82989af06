"""What a person may have done with what is kept: copied, erased, or read once more."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from dicom_node.audit.messages import deleted, exported
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from storage.errors import StorageError
from storage.files.folder import QUARANTINE
from storage.maintenance.purge import erase_rows, kept_objects, mark_for_erasure, unfinished_purges
from storage.results.audit_counts import received_of
from storage.series.lifecycle import series_uids
from storage.series.rejected import forget_quarantine

ANY_TIME = timedelta(days=36500)  #: whenever a file was written


def chosen(resources: Resources, series: str | None, study: str | None) -> list[str]:
    """Find the series that a person means, by its UID or by that of its study.

    Raises
    ------
    NodeError
        If not one of both is given, or there is none.
    """
    if (series is None) == (study is None):
        raise NodeError("expected --series UID or --study UID")
    with resources.sessions() as session:
        uids = series_uids(session, series=series, study=study)
    if not uids:
        raise NodeError(f"expected a series that is known, none has the UID {series or study}")
    return uids


def export(resources: Resources, uids: Sequence[str], folder: Path) -> int:
    """Copy instances and results as DICOM files; return how many.

    A folder for each series, numbered, as the files are: no name comes from the network.

    Raises
    ------
    NodeError
        If the folder cannot be made or is not empty; or at the end, if files are not where they
        were kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise NodeError(f"cannot make the folder {folder}: {fault.strerror}") from fault
    if any(folder.iterdir()):
        raise NodeError(f"expected an empty folder, {folder} holds something")
    copied, missing = 0, 0
    for number, uid in enumerate(uids, start=1):
        with resources.sessions() as session:
            kept = kept_objects(session, uid)
        wanted = sum(map(len, kept.values()))
        files = sum(
            _copy(map(resources.folder.locate, paths), folder / f"{number:04d}" / kind)
            for kind, paths in kept.items()
        )
        copied, missing = copied + files, missing + wanted - files
        log.info("series_exported", series_uid=uid, files=files)
    with resources.sessions() as session:
        resources.audit.record(exported(folder.name, received_of(session, uids)))
    if missing:
        raise NodeError(
            f"copied {copied} files; {missing} are not where they were kept: see dicom-node doctor"
        )
    return copied


def _copy(paths: Iterable[Path], target: Path) -> int:
    """Copy what there is of some files into a new folder, under numbers; return how many."""
    target.mkdir(parents=True)
    found = [path for path in paths if path.is_file()]
    for place, path in enumerate(found, start=1):
        shutil.copyfile(path, target / f"{place:05d}.dcm")
    return len(found)


def erase(resources: Resources, uids: Sequence[str]) -> None:
    """Remove files and rows of series; the node must not run (see `dicom_node.folder_lock`).

    All are marked before the first file goes; what a crash leaves, the next start removes, and
    to erase again takes the rows.

    Raises
    ------
    NodeError
        If something is under way with one of them; then nothing is removed.
    """
    now = resources.clock()
    with resources.sessions() as session:
        studies = received_of(session, uids)
    try:
        with resources.sessions.begin() as session:
            for uid in uids:
                mark_for_erasure(session, uid, now)
    except StorageError as fault:
        raise NodeError(str(fault)) from fault
    with resources.sessions() as session:
        marked = [each for each in unfinished_purges(session) if each.series_instance_uid in uids]
    for purge in marked:
        resources.folder.discard(purge.paths, before=now + ANY_TIME)
        with resources.sessions.begin() as session:
            erase_rows(session, purge.series_instance_uid)
        log.info("series_erased", series_uid=purge.series_instance_uid, instances=purge.instances)
    resources.audit.record(deleted(studies))


def reinject(resources: Resources, names: Sequence[str] | None) -> int:
    """Have quarantined files read once more; return how many went back.

    The node must not run. What still cannot be understood comes to quarantine again.

    Parameters
    ----------
    names
        Of files in quarantine, with or without their folder; None for all.

    Raises
    ------
    NodeError
        If there is no such file.
    """
    there = resources.folder.paths(f"{QUARANTINE}/*")
    wanted = sorted(there if names is None else {f"{QUARANTINE}/{Path(n).name}" for n in names})
    if missing := [path for path in wanted if path not in there]:
        raise NodeError(f"expected files in quarantine, not there: {', '.join(missing)}")
    for path in wanted:
        resources.folder.release(path)
    with resources.sessions.begin() as session:
        forget_quarantine(session, wanted)
    log.info("quarantine_reinjected", files=len(wanted))
    index = IndexWriter(resources.sessions)
    index.start()
    try:
        InstanceIngest(resources, index).scan()
    finally:
        index.stop()
    return len(wanted)
