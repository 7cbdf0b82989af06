"""Read and write tables of scores with the truth: ``patient,label,score``.

Several rows of one patient are allowed; intervals then resample patients, not rows. Tables that
training and evaluation write also say whose scores they are: ``weights``, ``temperature``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

COLUMNS = ("patient", "label", "score")
#: Which case, by which weights (`pipeline.model.manifest.Networks.digest`), at which temperature.
ORIGIN = ("path", "weights", "temperature")
SCANNER = "scanner"  #: column of the group of scanners
OPTIONAL = (*ORIGIN, SCANNER)
LABELS = {"0": False, "1": True}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCases:
    """Cases with their truth and their score; all of length N, in the same order.

    Attributes
    ----------
    patients
        Whose case it is; rows of one patient are not independent.
    labels
        ``(N,)``, True for a positive case.
    scores
        ``(N,)``, 0 to 1, of the positive class.
    """

    patients: tuple[str, ...]
    labels: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.patients) == len(self.labels) == len(self.scores):
            raise ValueError(
                "expected as many patients as labels and scores, got "
                f"{len(self.patients)}, {len(self.labels)} and {len(self.scores)}"
            )

    @property
    def positives(self) -> int:
        """How many cases are positive."""
        return int(np.count_nonzero(self.labels))

    @property
    def negatives(self) -> int:
        """How many cases are negative."""
        return len(self.labels) - self.positives

    def of(self, indices: NDArray[np.intp]) -> ScoredCases:
        """Give some of the cases, by their place."""
        return ScoredCases(
            patients=tuple(self.patients[index] for index in indices),
            labels=self.labels[indices],
            scores=self.scores[indices],
        )

    @property
    def patient_count(self) -> int:
        """How many patients there are."""
        return len(set(self.patients))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose scores they are.

    Attributes
    ----------
    weights
        SHA-256: `pipeline.model.manifest.Networks.digest`.
    temperature
        That the logits were divided by.
    """

    weights: str
    temperature: float


#: Patient, label, score, path of a case.
Row = tuple[str, int, float, Path]


def read_scores(path: Path) -> ScoredCases:
    """Read a CSV file with the columns patient, label (0 or 1) and score (0 to 1).

    Raises
    ------
    PipelineError
        If it is faulty; the message lists every fault with its line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except OSError as exc:
        raise PipelineError(f"expected a readable file {path}, got: {exc.strerror}") from exc
    except (csv.Error, UnicodeDecodeError) as exc:
        raise PipelineError(f"{path}: expected a CSV file in UTF-8, got: {exc}") from exc
    faults = [f"line {line}: {fault}" for line, row in rows for fault in _row_faults(row)]
    if not rows:
        faults = ["expected at least one case, got none"]
    if faults:
        raise PipelineError(f"{path} is not as expected: {'; '.join(faults)}")
    return scored_cases(
        (row["patient"].strip(), LABELS[row["label"].strip()], float(row["score"]))
        for _, row in rows
    )


def scored_cases(rows: Iterable[tuple[str, bool, float]]) -> ScoredCases:
    """Cases out of rows of patient, label and score."""
    patients, labels, scores = zip(*rows, strict=True)
    return ScoredCases(
        patients=patients,
        labels=np.array(labels, np.bool_),
        scores=np.array(scores, np.float64),
    )


def read_column(path: Path, name: str) -> tuple[str, ...]:
    """One column of a file that `read_scores` takes; empty text where it has none such."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return tuple(row.get(name, "") for row in csv.DictReader(file))


def read_origin(path: Path) -> Origin:
    """Whose scores a file that `read_scores` takes holds.

    Raises
    ------
    PipelineError
        If it does not say so, or holds those of several.
    """
    origins = set(zip(read_column(path, "weights"), read_column(path, "temperature"), strict=True))
    if len(origins) != 1:
        raise PipelineError(f"{path}: scores of one model at one temperature expected, got several")
    weights, temperature = origins.pop()
    try:
        value = float(temperature)
    except ValueError:
        value = math.nan
    if not weights or not value > 0:
        raise PipelineError(
            f"{path}: the columns weights and temperature expected, as training and evaluation"
            " write them, to know whose scores these are"
        )
    return Origin(weights=weights, temperature=value)


def table(rows: Iterable[Row], origin: Origin) -> str:
    """CSV text of scores of one origin."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*COLUMNS, *ORIGIN))
    for patient, label, score, path in rows:
        shown = (repr(score), path.resolve(), origin.weights, repr(origin.temperature))
        writer.writerow((patient, label, *shown))
    return stream.getvalue()


def _check_header(path: Path, found: Sequence[str]) -> None:
    surplus = set(found) - {*COLUMNS, *OPTIONAL}
    if surplus or not set(COLUMNS) <= set(found) or len(found) != len(set(found)):
        raise PipelineError(
            f"{path} is not as expected: line 1: expected the columns {', '.join(COLUMNS)} "
            f"(and {', '.join(OPTIONAL)}, if you like), got {', '.join(found) or 'nothing'}"
        )


def _row_faults(row: dict[str, str]) -> Iterable[str]:
    """Say what is wrong with one row."""
    if None in row or None in row.values():
        yield "expected as many values as columns"
        return
    if not row["patient"].strip():
        yield "expected a patient, got nothing"
    if row["label"].strip() not in LABELS:
        yield f"expected label 0 or 1, got {row['label']!r}"
    if not _is_score(row["score"]):
        yield f"expected score 0 to 1, got {row['score']!r}"


def _is_score(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and 0 <= value <= 1
