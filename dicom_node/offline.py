"""The same way without a network: DICOM files in, results as files out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dicom_node import task
from dicom_node.header import Unreadable, read_header
from dicom_node.request import Analysed, Analyser, Request, SourceFile, Unsuitable
from dicom_node.task import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """The files of one series."""

    series_instance_uid: str
    paths: tuple[Path, ...]


def find_series(folder: Path) -> tuple[list[FoundSeries], list[tuple[Path, str]]]:
    """Find every series below a folder, and the files that are not DICOM with the reason."""
    series: dict[str, list[Path]] = defaultdict(list)
    others: list[tuple[Path, str]] = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            series[str(read_header(path).SeriesInstanceUID).strip()].append(path)
        except Unreadable as fault:
            others.append((path, str(fault)))
    return [
        FoundSeries(series_instance_uid=uid, paths=tuple(paths)) for uid, paths in series.items()
    ], others


def process(
    series: FoundSeries, analyser: Analyser, out: Path, progress: Progress
) -> Analysed | Unsuitable:
    """Analyse one series and write its results below `out`.

    Written are ``KIND.dcm`` for each kind of result, such as ``report.dcm``, ``KIND/NNNN.dcm``
    where there are many of a kind, and ``analysis.json``; for an unsuitable series the last
    alone, with the reason.
    """
    request = Request(
        series_instance_uid=series.series_instance_uid,
        files=tuple(_source_files(series.paths)),
        analyser=analyser,
        created=datetime.now(UTC).astimezone(),
    )
    answer = task.work(request, progress)
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(answer, Analysed):
        for name, content in result_files(answer):
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(content)
    (out / "analysis.json").write_text(json.dumps(statement(series, answer), indent=2) + "\n")
    return answer


def _source_files(paths: Iterable[Path]) -> Iterator[SourceFile]:
    for path in paths:
        meta = read_header(path).file_meta
        yield SourceFile(
            path=path,
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        )


def result_files(answer: Analysed) -> Iterator[tuple[str, bytes]]:
    """Name the results for people: one file, or a folder where there are many of a kind."""
    kinds = Counter(each.kind for each in answer.objects)
    numbers: Counter[str] = Counter()
    for each in answer.objects:
        numbers[each.kind] += 1
        many = kinds[each.kind] > 1
        name = f"{each.kind}/{numbers[each.kind]:04d}.dcm" if many else f"{each.kind}.dcm"
        yield name, each.part10


def statement(series: FoundSeries, answer: Analysed | Unsuitable) -> dict[str, object]:
    """Say in JSON what became of a series."""
    head = {"series_instance_uid": series.series_instance_uid, "instances": len(series.paths)}
    if isinstance(answer, Unsuitable):
        return {**head, "analysed": False, "reason": f"{answer.code}: {answer.text}"}
    return {**head, "analysed": True, **answer.summary, "seconds": answer.seconds}
