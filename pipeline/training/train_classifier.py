"""Train a classifier on a case list: ``dicom-node train classifier``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from scipy import special
from torch import nn

from pipeline.durably import write_whole
from pipeline.errors import PipelineError
from pipeline.manifest import ClassifierInput
from pipeline.models import Models
from pipeline.training.cases import Case, Split, digest_of, read_cases, split_of
from pipeline.training.classifiers import CLASSIFIERS
from pipeline.training.fit import Report, Schedule, fit
from pipeline.training.lessons import ClassifierLesson, Files, Taught, margin
from pipeline.training.prepared import load, prepared, stored_shape
from pipeline.training.run_folder import RunFolder

WEIGHTS = "classifier.safetensors"
PREPARED = "prepared"  #: folder of the prepared cases within a run folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTraining:
    """What to train, and how.

    Attributes
    ----------
    network
        A key of `pipeline.training.classifiers.CLASSIFIERS`.
    masks
        Whether known lesion masks are learnt from, besides the labels.
    validation_limit
        At most so many validation cases are judged each time, evenly taken.
    start
        Weights of the same network to begin with; None begins with random ones.
    """

    network: str
    seed: int
    wanted: ClassifierInput
    schedule: Schedule
    pairs: int = 1
    masks: bool = True
    validation_limit: int = 96
    start: Path | None = None

    def as_settings(self, cases: Sequence[Path]) -> Mapping[str, Any]:
        """All that the course of a run depends on, for its folder."""
        return {
            **asdict(self),
            "wanted": self.wanted.model_dump(mode="json"),
            "start": self.start and digest_of(self.start),
            "cases": [digest_of(file) for file in cases],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A prepared case of the list."""

    file: Path
    patient: str
    label: int
    split: Split


def train_classifier(
    cases: Sequence[Path],
    out: Path,
    training: ClassifierTraining,
    models: Models,
    *,
    report: Report,
) -> Path:
    """Train, or go on training; write the weights, and the scores of validation and test cases.

    Parameters
    ----------
    cases
        Case lists with labels; `pipeline.training.cases`.
    out
        The run folder.
    models
        Find the lungs of cases that are not prepared yet; their device is trained on.

    Returns
    -------
    Path
        The weights, ``classifier.safetensors`` in the run folder.

    Raises
    ------
    PipelineError
        If the list is faulty, or a split lacks positive or negative cases.
    """
    folder = RunFolder.open(out, training.as_settings(cases))
    weights = out / WEIGHTS
    if weights.exists():  # written last: the run is done
        return weights
    listed = list_prepared(cases, out / PREPARED, training, models)
    network = Taught(started(training)).to(models.device)
    lesson = ClassifierLesson(
        network=network,
        files=files_of(listed, training.validation_limit),
        wanted=training.wanted,
        seed=training.seed,
        pairs=training.pairs,
        masks=training.masks,
    )
    fit(lesson, training.schedule, folder, seed=training.seed, report=report)
    for split in (Split.VALIDATION, Split.TEST):
        chosen = [each for each in listed if each.split is split]
        write_scores(out / f"{split}-scores.csv", chosen, network.classifier, training.wanted)
    state = {
        key: value.cpu().contiguous() for key, value in network.classifier.state_dict().items()
    }
    write_whole(weights, tensors_to_bytes(state))
    return weights


def started(training: ClassifierTraining) -> nn.Module:
    """Build the network with its first weights.

    Raises
    ------
    PipelineError
        If the weights to start from are not those of the network.
    """
    torch.manual_seed(training.seed)
    network = CLASSIFIERS[training.network]()
    if training.start is not None:
        try:
            network.load_state_dict(load_file(training.start))
        except (OSError, RuntimeError, SafetensorError) as exc:
            raise PipelineError(
                f"{training.start.name}: weights of {training.network} expected, got: {exc}"
            ) from exc
    return network


def list_prepared(
    cases: Sequence[Path], folder: Path, training: ClassifierTraining, models: Models
) -> list[Listed]:
    """Prepare every case of some lists and assign it to a split, patient by patient."""
    rows = [row for file in cases for row in read_cases(file)]
    splits = split_of(rows, training.seed)
    shape = stored_shape(training.wanted)

    def listed(row: Case) -> Listed:
        file = prepared(row, models, shape, training.wanted.margin_mm, folder=folder)
        label = int(row.label or 0)
        return Listed(file=file, patient=row.patient, label=label, split=splits[row.patient])

    return [listed(row) for row in rows]


def files_of(listed: Sequence[Listed], validation_limit: int) -> Files:
    """Sort prepared cases for the lesson.

    Raises
    ------
    PipelineError
        If there are too few: training and validation need both labels.
    """
    held: dict[tuple[Split, int], list[Path]] = {}
    for each in listed:
        held.setdefault((each.split, each.label), []).append(each.file)
    missing = [
        f"{'positive' if label else 'negative'} {split} cases"
        for split in (Split.TRAIN, Split.VALIDATION)
        for label in (1, 0)
        if (split, label) not in held
    ]
    if missing:
        raise PipelineError(f"both labels expected in training and validation, no {missing}")
    half = validation_limit // 2
    return Files(
        positive=held[Split.TRAIN, 1],
        negative=held[Split.TRAIN, 0],
        validation=[
            *evenly(held[Split.VALIDATION, 1], half),
            *evenly(held[Split.VALIDATION, 0], half),
        ],
    )


def evenly(files: Sequence[Path], limit: int) -> Sequence[Path]:
    """At most ``limit`` files, spread over all."""
    step = max(1, -(-len(files) // max(1, limit)))
    return files[::step]


def write_scores(
    file: Path, listed: Sequence[Listed], network: nn.Module, wanted: ClassifierInput
) -> None:
    """Write ``patient,label,score`` of prepared cases, uncalibrated."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(("patient", "label", "score"))
    for each in listed:
        score = float(special.expit(margin(network, load(each.file), wanted)))
        writer.writerow((each.patient, each.label, repr(score)))
    write_whole(file, stream.getvalue().encode())
