"""Analyse DICOM files without a network: the same task, with results as files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.config import disable_value_validation

from dicom_node.analysis.not_analysed_notices import Wanted, is_wanted, notice_request
from dicom_node.analysis.worker import notice_task, series_task
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisConfig,
    AnalysisRequest,
    NoticeRequest,
    SourceFile,
    Unsuitable,
)
from dicom_node.analysis.worker.stopwatch import Progress
from dicom_node.errors import AnalysisFault, NodeError, NoNotice
from dicom_node.reception.header import Unreadable, read_header, series_number
from pipeline.encode.result.series_numbers import ResultNumbering, SeriesOfStudy, numbering
from pipeline.errors import PipelineError
from storage.files.disk import filled

RECORD = "analysis.json"

Processed = tuple[Analysed | Unsuitable, dict[str, bytes]]
"""Answer of the analysis, and the files of its results by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """The files of one series, and the Series Numbers of its results."""

    series_instance_uid: str
    paths: tuple[Path, ...]
    numbering: ResultNumbering | None = None


def find_series(folder: Path, base: int) -> tuple[list[FoundSeries], list[tuple[Path, str]]]:
    """Find every series below a folder, and the files that are not DICOM with the reason.

    Parameters
    ----------
    base
        Series Numbers of results start here.
    """
    paths: dict[str, list[Path]] = defaultdict(list)
    studies: dict[str, dict[str, SeriesOfStudy]] = defaultdict(dict)
    others: list[tuple[Path, str]] = []
    with disable_value_validation():
        for path in sorted(file for file in folder.rglob("*") if file.is_file()):
            try:
                texts = read_header(path).texts
            except Unreadable as fault:
                others.append((path, str(fault)))
                continue
            uid, study = texts["SeriesInstanceUID"], texts["StudyInstanceUID"]
            paths[uid].append(path)
            named = SeriesOfStudy(series_instance_uid=uid, number=series_number(texts))
            studies[study].setdefault(uid, named)
    numbers = {
        uid: numbering(uid, list(study.values()), base)
        for study in studies.values()
        for uid in study
    }
    found = [
        FoundSeries(series_instance_uid=uid, paths=tuple(own), numbering=numbers[uid])
        for uid, own in paths.items()
    ]
    return found, others


def must_be_empty(out: Path) -> None:
    """Refuse a folder that holds anything: results of two runs would lie side by side.

    Raises
    ------
    NodeError
        If `out` is neither new nor empty.
    """
    if out.exists() and not (out.is_dir() and next(out.iterdir(), None) is None):
        raise NodeError(f"expected a new or empty folder for the results, got {out}")


def process(
    series: FoundSeries,
    config: AnalysisConfig,
    progress: Progress,
    *,
    notices: Wanted,
    created: datetime,
) -> Processed:
    """Analyse one series; return the answer, and the files of its results by their names.

    These are ``KIND.dcm`` for each kind of result, such as ``report.dcm``, ``KIND/NNNN.dcm``
    where there are many of a kind, and ``analysis.json``; for an unsuitable series the last, with
    the reason, and ``notice.dcm``, if one is wanted. A UID names one set of bytes (PS3.5 9), and
    objects name the time at which they were made: so all UIDs hang on that time as well.
    """
    with disable_value_validation():
        files = tuple(source_files(series.paths))
    request = AnalysisRequest(
        series_instance_uid=series.series_instance_uid,
        files=files,
        config=config,
        created=created,
        numbering=series.numbering,
    )
    answer = series_task.results_of(request, progress)
    if isinstance(answer, Unsuitable):
        asked = notice_request(request, answer.code, answer.text)
        key, files_of_results = asked.key, _notice_files(asked, notices)
    else:
        key, files_of_results = answer.key, dict(result_files(answer))
    identity = {"key": key, "created": request.created.isoformat()}
    record = {**statement(series, answer), **identity}
    files_of_results[RECORD] = (json.dumps(record, indent=2) + "\n").encode()
    return answer, files_of_results


def write_files(files: Mapping[str, bytes], out: Path) -> None:
    """Write the files of results into a folder: all, or none if one cannot be written.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    with filled(out):
        for name, content in files.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(content)


def _notice_files(asked: NoticeRequest, wanted: Wanted) -> dict[str, bytes]:
    """Make the notice, if one is wanted and the series is of one patient."""
    if not is_wanted(wanted, asked.code):
        return {}
    try:
        made = notice_task.notice(asked)
    except (NoNotice, AnalysisFault, PipelineError):
        return {}
    return {"notice.dcm": made.part10}


def source_files(paths: Iterable[Path]) -> Iterator[SourceFile]:
    """Describe files of a series for a request."""
    for path in paths:
        yield SourceFile(
            path=path,
            sop_instance_uid=read_header(path).sop_instance_uid,
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        )


def result_files(answer: Analysed) -> Iterator[tuple[str, bytes]]:
    """Name the results for people: one file, or a folder where there are many of a kind."""
    totals = Counter(encoded.kind for encoded in answer.objects)
    numbers: Counter[str] = Counter()
    for encoded in answer.objects:
        kind = encoded.kind
        numbers[kind] += 1
        name = f"{kind}/{numbers[kind]:04d}.dcm" if totals[kind] > 1 else f"{kind}.dcm"
        yield name, encoded.part10


def statement(series: FoundSeries, answer: Analysed | Unsuitable) -> dict[str, object]:
    """Make the record of a series, for JSON."""
    head = {"series_instance_uid": series.series_instance_uid, "instances": len(series.paths)}
    if isinstance(answer, Unsuitable):
        return {**head, "analysed": False, "reason": f"{answer.code}: {answer.text}"}
    return {**head, "analysed": True, **answer.summary, "seconds": answer.seconds}
