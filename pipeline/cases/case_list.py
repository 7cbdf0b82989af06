"""Read and write case lists, ``cases.csv``, and split their patients.

The cases of a list are what a network is trained, validated and tested on.

Columns: ``path`` (a folder of DICOM files, a NIfTI file, or a case prepared before; relative to
the CSV), ``patient``, ``label`` (1 positive, 0 negative), and if there are any ``lungs`` and
``lesions`` (NIfTI masks on the same grid), ``slices`` (a CSV file of labels of single slices;
`pipeline.cases.slice_labels`), ``split`` (train, validation or test) and ``scanner`` (a word for
the group of scanners; `pipeline.cases.scanners`). What the node exports of readers'
answers has more columns, for people; its rows about a finding are no cases.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from pipeline.atomic_write import write_whole
from pipeline.errors import PipelineError

NEEDED = ("path", "patient")
OPTIONAL = ("label", "lungs", "lesions", "slices", "split", "scanner")
FILES = ("lungs", "lesions", "slices")
FINDING = "finding"
REMARKS = (
    *("series", "revision", "model", "score", "positive", FINDING, "side", "volume_ml"),
    *("answer", "reason", "readers", "answered_at"),
)
"""Columns of answers of readers (`dicom-node feedback`), which are read by people."""
LABELS = {"0": 0, "1": 1}


class Split(StrEnum):
    """Use of a patient's cases."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SHARES: Mapping[Split, float] = {Split.TRAIN: 0.7, Split.VALIDATION: 0.15, Split.TEST: 0.15}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes
    ----------
    label
        1 positive, 0 negative, None if the file has none.
    lungs, lesions
        Masks drawn by people, if there are any.
    slices
        Labels of its slices, if there are any.
    split
        Given in the file; None lets `split_of` choose.
    scanner
        Group of scanners, as the file says it; may be empty.
    place
        List and line, for messages: a path or a patient's name must not be in them.
    """

    path: Path
    patient: str
    label: int | None = None
    lungs: Path | None = None
    lesions: Path | None = None
    slices: Path | None = None
    split: Split | None = None
    scanner: str = ""
    place: str = field(default="", compare=False)


def read_cases(*files: Path, labelled: bool = True) -> tuple[Case, ...]:
    """Read case lists, and join them.

    Parameters
    ----------
    labelled
        Whether every row must have a label.

    Raises
    ------
    PipelineError
        If a file is not as expected, or the lists do not go together: a patient on two sides of
        a split, a path that is listed twice. The message lists every fault with its line.
    """
    cases = tuple(case for file in files for case in _read(file, labelled=labelled))
    if faults := [*_split_faults(cases), *_path_faults(cases)]:
        raise PipelineError("; ".join(faults))
    return cases


def write_cases(file: Path, cases: Sequence[Case], splits: Mapping[str, Split]) -> None:
    """Write a case list with absolute paths, and with the split of every patient."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow((*NEEDED, *OPTIONAL))
    for case in cases:
        paths = (file and file.resolve() for file in (case.lungs, case.lesions, case.slices))
        label = "" if case.label is None else case.label
        use = (splits[case.patient], case.scanner)
        writer.writerow((case.path.resolve(), case.patient, label, *paths, *use))
    write_whole(file, stream.getvalue().encode())


def _read(file: Path, *, labelled: bool) -> tuple[Case, ...]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise PipelineError(f"expected a readable CSV file {file.name}, got: {exc}") from exc
    faults = list(_column_faults(columns))
    if not faults:
        faults = [
            f"line {line}: {fault}"
            for line, row in enumerate(rows, start=2)
            if not _is_of_a_finding(row)
            for fault in _row_faults(row, file.parent, labelled=labelled)
        ]
        if all(map(_is_of_a_finding, rows)):
            faults.append("at least one case expected, got none")
    if faults:
        raise PipelineError(f"{file.name}: {'; '.join(faults)}")
    return tuple(
        _case(row, file, line)
        for line, row in enumerate(rows, start=2)
        if not _is_of_a_finding(row)
    )


def _is_of_a_finding(row: Mapping[str, str]) -> bool:
    """Say whether a row is about a part of a case that has a row of its own."""
    return bool((row.get(FINDING) or "").strip())


def digest_of(file: Path) -> str:
    """SHA-256 of a file that a run depends on: the same run needs the same content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def slice_label_digests(files: Sequence[Path]) -> list[str]:
    """SHA-256 of the labels of slices that lists name, row by row; raises as `read_cases`."""
    rows = read_cases(*files, labelled=False)
    return [digest_of(row.slices) for row in rows if row.slices is not None]


def split_of(cases: Sequence[Case], seed: int) -> Mapping[str, Split]:
    """Assign every patient to one split: as the file says, or else by lot within each label.

    A patient counts as positive if any of its cases is.
    """
    given = {case.patient: case.split for case in cases if case.split is not None}
    rng = np.random.default_rng(seed)
    chosen: dict[str, Split] = dict(given)
    positive = {case.patient for case in cases if case.label == 1}
    rest = sorted({case.patient for case in cases} - given.keys())
    for group in ([p for p in rest if p in positive], [p for p in rest if p not in positive]):
        order = [group[i] for i in rng.permutation(len(group))]
        ends = np.rint(np.cumsum(list(SHARES.values())) * len(order)).astype(int)
        for split, start, end in zip(SHARES, [0, *ends[:-1]], ends, strict=True):
            chosen |= dict.fromkeys(order[start:end], split)
    return chosen


def _column_faults(columns: Sequence[str]) -> Iterator[str]:
    missing = [name for name in NEEDED if name not in columns]
    surplus = [name for name in columns if name not in (*NEEDED, *OPTIONAL, *REMARKS)]
    if missing:
        yield f"columns {', '.join(NEEDED)} expected, missing {', '.join(missing)}"
    if surplus:
        yield f"columns {', '.join((*NEEDED, *OPTIONAL))} known, got {', '.join(surplus)}"


def _row_faults(row: Mapping[str, str], base: Path, *, labelled: bool) -> Iterator[str]:
    if None in row or None in row.values():
        yield "another number of fields than columns"
        return
    if not row["patient"].strip():
        yield "a patient expected, got none"
    for name in ("path", *FILES):
        value = row.get(name, "").strip()
        if (value or name == "path") and not (value and (base / value).exists()):
            yield f"{name}: an existing file or folder expected, got {value!r}"
        elif name == "slices" and value and not (base / value).is_file():
            yield f"{name}: a CSV file expected, got the folder {value!r}"
    label = row.get("label", "").strip()
    if (label or labelled) and label not in LABELS:
        yield f"label 0 or 1 expected, got {label!r}"
    split = row.get("split", "").strip()
    if split and split not in list(Split):
        yield f"split {', '.join(Split)} expected, got {split!r}"


def _split_faults(cases: Sequence[Case]) -> Iterator[str]:
    """Whole patients stay on one side."""
    firsts: dict[str, Case] = {}
    for case in cases:
        first = firsts.setdefault(case.patient, case)
        if first.split != case.split:
            yield (
                f"{case.place}: the split of the patient's row in {first.place} expected"
                f" ({first.split or 'none'}), got {case.split or 'none'}"
            )


def _path_faults(cases: Sequence[Case]) -> Iterator[str]:
    """No case counts twice, nor for two patients."""
    firsts: dict[Path, Case] = {}
    for case in cases:
        first = firsts.setdefault(case.path.resolve(), case)
        if first is not case:
            patient = "" if first.patient == case.patient else ", and under another patient"
            yield f"{case.place}: a new path expected, got that of {first.place} again{patient}"


def _case(row: Mapping[str, str], file: Path, line: int) -> Case:
    base = file.parent

    def path(name: str) -> Path | None:
        value = row.get(name, "").strip()
        return base / value if value else None

    split = row.get("split", "").strip()
    return Case(
        path=base / row["path"].strip(),
        patient=row["patient"].strip(),
        label=LABELS.get(row.get("label", "").strip()),
        lungs=path("lungs"),
        lesions=path("lesions"),
        slices=path("slices"),
        split=Split(split) if split else None,
        scanner=row.get("scanner", "").strip(),
        place=f"{file.name} line {line}",
    )
