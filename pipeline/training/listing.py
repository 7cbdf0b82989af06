"""Prepare the cases of some lists, and assign each to its split."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cases.case_list import Case, Split, read_cases, split_of
from pipeline.cases.prepared import prepared
from pipeline.errors import PipelineError
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput
from pipeline.training.classifier_task import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A prepared case of the list.

    Attributes
    ----------
    case
        Its row.
    file
        The prepared case; that of the row, or made of it.
    """

    case: Case
    file: Path
    patient: str
    label: int
    split: Split


def list_prepared(
    cases: Sequence[Path], folder: Path, wanted: ClassifierInput, models: Models, *, seed: int
) -> list[Listed]:
    """Prepare every case of some lists and assign it to a split, patient by patient.

    Raises
    ------
    PipelineError
        If training or validation lacks a label, or a case cannot be prepared; its row is named.
    """
    rows = read_cases(*cases)
    splits = split_of(rows, seed)
    require_labels({(splits[row.patient], int(row.label or 0)) for row in rows})
    return prepare_rows(rows, splits, folder, wanted, models)


def prepare_rows(
    rows: Sequence[Case],
    splits: Mapping[str, Split],
    folder: Path,
    wanted: ClassifierInput,
    models: Models,
) -> list[Listed]:
    """Prepare every case, each with the split of its patient.

    Raises
    ------
    PipelineError
        If a case cannot be prepared; its row is named.
    """

    def listed(row: Case) -> Listed:
        try:
            file = prepared(row, models, wanted, folder=folder)
        except PipelineError as exc:
            raise PipelineError(f"{row.place}: {exc}") from exc
        label = int(row.label or 0)
        return Listed(
            case=row, file=file, patient=row.patient, label=label, split=splits[row.patient]
        )

    return [listed(row) for row in rows]


def require_labels(
    present: Collection[tuple[Split, int]],
    splits: Sequence[Split] = (Split.TRAIN, Split.VALIDATION),
) -> None:
    """Refuse cases of which a split lacks a label.

    Parameters
    ----------
    present
        Split and label of every case.

    Raises
    ------
    PipelineError
        If one does.
    """
    missing = [
        f"{'positive' if label else 'negative'} {split} cases"
        for split in splits
        for label in (1, 0)
        if (split, label) not in present
    ]
    if missing:
        raise PipelineError(
            f"both labels expected in {', '.join(splits)}; there are no {', no '.join(missing)}"
        )


def files_of(listed: Sequence[Listed], validation_limit: int) -> Files:
    """Sort prepared cases for the training task; training and validation have both labels."""
    files: dict[tuple[Split, int], list[Path]] = {}
    for row in listed:
        files.setdefault((row.split, row.label), []).append(row.file)
    half = validation_limit // 2
    return Files(
        positive=files[Split.TRAIN, 1],
        negative=files[Split.TRAIN, 0],
        validation=[
            *evenly(files[Split.VALIDATION, 1], half),
            *evenly(files[Split.VALIDATION, 0], half),
        ],
    )


def evenly(files: Sequence[Path], limit: int) -> Sequence[Path]:
    """At most ``limit`` files, spread over all."""
    step = max(1, -(-len(files) // max(1, limit)))
    return files[::step]
