"""Export, erase and re-ingest stored data on an operator's request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dicom_node.audit.decisions import NODE, Decided
from dicom_node.audit.messages import deleted, exported
from dicom_node.audit.syslog import AuditSink
from dicom_node.errors import NodeError
from dicom_node.governance.result_records import keep_records, key_of
from dicom_node.identity_key import keyed
from dicom_node.logs import log
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from storage.errors import StorageError
from storage.files.disk import blocks_of, filled, naming
from storage.files.folder import QUARANTINE
from storage.files.removal_lock import may_remove
from storage.maintenance.purge import (
    RECEIVED,
    erase_rows,
    kept_objects,
    mark_for_erasure,
    unfinished_purges,
)
from storage.results.audit_counts import added, received_of
from storage.results.kept_results import keys_of
from storage.results.to_tell import reference_of
from storage.series.quarantine_and_refusals import forget_quarantine
from storage.series.study import series_uids, study_of

A_LINE = 100  #: series that one line of the log of decisions names the results of
ANY_TIME = timedelta(days=36500)  #: added to now: files are removed whenever they were written


def chosen(resources: Resources, series: str | None, study: str | None) -> list[str]:
    """Find the series of a request, by the UID of a series or of a study.

    Raises
    ------
    NodeError
        If no series has it.
    """
    with resources.sessions() as session:
        uids = series_uids(session, series=series, study=study)
    if not uids:
        raise NodeError(f"expected a series that is known, none has the UID {series or study}")
    return uids


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFiles:
    """The DICOM files that are kept of a series.

    Attributes
    ----------
    study
        Study Instance UID.
    paths
        By their origin, as `kept_objects` names it; those that are where they were kept.
    classes
        Number of these, by SOP Class UID.
    missing
        Number of those that are not.
    """

    study: str
    paths: Mapping[str, Sequence[Path]]
    classes: Mapping[str, int]
    missing: int

    def named(self) -> Iterator[tuple[str, Path]]:
        """Yield each file with its name in an export: numbered, as no name is the network's."""
        for origin, paths in self.paths.items():
            for number, path in enumerate(paths, start=1):
                yield f"{origin}/{number:05d}.dcm", path


def kept_files(resources: Resources, uid: str, *, with_images: bool = True) -> KeptFiles:
    """Find the files of a series that can be exported: its results, and its images."""
    with resources.sessions.reading() as session:
        stored, study = kept_objects(session, uid), study_of(session, uid)
    if not with_images:
        del stored[RECEIVED]
    resources.folder.bring(path for objects in stored.values() for path, _ in objects)
    paths: dict[str, list[Path]] = {origin: [] for origin in stored}
    classes, missing = Counter[str](), 0
    for origin, objects in stored.items():
        for path, sop_class in ((resources.folder.locate(one), kind) for one, kind in objects):
            if path.is_file():
                paths[origin].append(path)
                classes[sop_class] += 1
            else:
                missing += 1
    return KeptFiles(study=study, paths=paths, classes=classes, missing=missing)


def record_export(audit: AuditSink, files: Iterable[KeptFiles], to: str, *, by: str = "") -> None:
    """Record which files were exported, in the audit trail; and who asked, if that is known."""
    studies = defaultdict[str, Counter[str]](Counter)
    for kept in files:
        studies[kept.study].update(kept.classes)
    audit.record(exported(to, studies, by=by))


def export(resources: Resources, uids: Sequence[str], folder: Path) -> int:
    """Copy instances and results as DICOM files; return how many.

    A folder for each series, numbered, as the files are: no name comes from the network.

    Raises
    ------
    NodeError
        If the folder is not empty; or, at the end, if files are missing.
    OSError
        If it cannot be made or written: then nothing is left in it.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise NodeError(f"expected an empty folder, {folder} holds something")
    copied, exports = 0, list[KeptFiles]()
    with filled(folder):
        for number, uid in enumerate(uids, start=1):
            kept, target = kept_files(resources, uid), folder / f"{number:04d}"
            exports.append(kept)
            for origin in kept.paths:
                (target / origin).mkdir(parents=True)
            files = [(path, target / name) for name, path in kept.named()]
            for path, copy in files:
                _copy(path, copy)
            copied += len(files)
            log.info("series_exported", series_uid=uid, files=len(files))
    record_export(resources.audit, exports, folder.name)
    if missing := sum(kept.missing for kept in exports):
        raise NodeError(
            f"copied {copied} files; {missing} are not where they were kept: see dicom-node doctor"
        )
    return copied


def _copy(source: Path, to: Path) -> None:
    """Copy a file; a fault names the one of the two that it is of."""
    with naming(to), to.open("xb") as there:
        there.writelines(blocks_of(source))


def erase(resources: Resources, uids: Sequence[str], *, by: str = NODE) -> None:
    """Remove files and rows of series; the node must not run (see `dicom_node.folder_lock`).

    The log of decisions keeps that they were there, and who erased them, without identity: also of
    those that were erased before something broke off.

    All series are marked before the first file is removed. After a crash the next start removes
    the files that are left, and erasing again the rows.

    Raises
    ------
    NodeError
        If an analysis, a rerun or a delivery of one is under way, or a backup is being made; then
        nothing is removed. Also if a file cannot be removed: its series, and those behind it, stay
        marked.
    """
    with may_remove(resources.folder.root) as may:
        if not may:
            raise NodeError("a backup is being made: erase when it has ended")
        _erase(resources, uids, by)


def _erase(resources: Resources, uids: Sequence[str], by: str) -> None:
    with resources.sessions() as session:
        keys = {uid: keys_of(session, [uid]) for uid in uids}
        received = {uid: received_of(session, [uid]) for uid in uids}
    erased: list[str] = []
    try:
        remove(resources, uids, erased.append)
    finally:
        if erased:
            resources.audit.record(deleted(added(received[uid] for uid in erased)))
        for first in range(0, len(erased), A_LINE):
            part = erased[first : first + A_LINE]
            results = [reference_of(key) for uid in part for key in keys[uid]]
            facts = {"series": len(part), "results": results}
            resources.decisions.record(Decided.ERASED, facts, by=by)


def remove(
    resources: Resources, uids: Sequence[str], tell: Callable[[str], None] = lambda uid: None
) -> None:
    """Remove files and rows of series; the lock of `may_remove` is held.

    Of their results records without identity stay.

    Parameters
    ----------
    tell
        Gets the UID of each series when nothing is left of it.

    Raises
    ------
    NodeError
        If an analysis, a rerun or a delivery of one is under way; then nothing is removed.
    """
    now, key = resources.clock(), key_of(resources)
    try:
        with resources.sessions.begin() as session:
            for uid in uids:
                mark_for_erasure(session, uid, now)
    except StorageError as fault:
        raise NodeError(str(fault)) from fault
    with resources.sessions() as session:
        marked = [
            purge for purge in unfinished_purges(session) if purge.series_instance_uid in uids
        ]
    for purge in marked:
        faults = resources.folder.discard(purge.paths, before=now + ANY_TIME)
        for path, reason in faults.items():
            raise NodeError(f"{path} cannot be removed: {reason}; erase again when it can")
        with resources.sessions.begin() as session:
            keep_records(session, [purge.series_instance_uid], key)
            erase_rows(session, purge.series_instance_uid)
        tell(purge.series_instance_uid)
        log.info("series_erased", series_uid=purge.series_instance_uid, instances=purge.instances)


def reinject(resources: Resources, names: Sequence[str] | None) -> int:
    """Move files out of quarantine and index them again; return how many.

    The node must not run. A file that still cannot be understood goes back to quarantine.

    Parameters
    ----------
    names
        Names of files in quarantine, with or without their folder; None for all.

    Raises
    ------
    NodeError
        If one of the files is not in quarantine, the identity key is lost, or a backup is being
        made.
    """
    with may_remove(resources.folder.root) as may:
        if not may:
            raise NodeError(
                "a backup is being made: take files out of quarantine when it has ended"
            )
        return _reinject(keyed(resources), names)


def _reinject(resources: Resources, names: Sequence[str] | None) -> int:
    quarantined = resources.folder.paths_in(QUARANTINE)
    paths = sorted(
        quarantined if names is None else {f"{QUARANTINE}/{Path(name).name}" for name in names}
    )
    if missing := [path for path in paths if path not in quarantined]:
        raise NodeError(f"expected files in quarantine, not there: {', '.join(missing)}")
    for path in paths:
        resources.folder.release(path)
    with resources.sessions.begin() as session:
        forget_quarantine(session, paths)
    log.info("quarantine_reinjected", files=len(paths))
    rescan(resources)
    return len(paths)
