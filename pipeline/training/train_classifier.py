"""Train a classifier on a case list: ``dicom-node train classifier``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from scipy import special
from torch import nn

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Split, digest_of, slice_label_digests, write_cases
from pipeline.cases.classifier_input import case_input
from pipeline.errors import PipelineError
from pipeline.metrics.scores import Origin, Row, table
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput, digest_of_weights
from pipeline.training.classifier_task import ClassifierTask, WithAuxHead, margin_of
from pipeline.training.classifiers import CLASSIFIERS
from pipeline.training.fit import Report, Schedule, fit
from pipeline.training.listing import Listed, files_of, list_prepared
from pipeline.training.paper import PaperTask
from pipeline.training.run_folder import RunFolder, require_free

WEIGHTS = "classifier.safetensors"
CASES = "cases.csv"  #: in the run folder: the list with the split drawn
PREPARED = "prepared"  #: folder of the prepared cases within a run folder
OWN, PAPER = "own", "paper"
RECIPES: Mapping[str, type[ClassifierTask]] = {OWN: ClassifierTask, PAPER: PaperTask}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTraining:
    """Options of a training.

    Their names stand in ``settings.json``, by which runs of earlier versions are known again.

    Attributes
    ----------
    network
        A key of `pipeline.training.classifiers.CLASSIFIERS`.
    wanted
        Size and window of the network's input.
    masks
        Whether known lesion masks are learnt from, besides the labels.
    validation_limit
        At most so many validation cases are used each time, evenly taken.
    start
        Weights of the same network to begin with; None begins with random ones.
    recipe
        ``own``, or ``paper`` (`pipeline.training.paper`).
    views, by_slice
        See `pipeline.training.classifier_task.ClassifierTask`.
    """

    network: str
    seed: int
    wanted: ClassifierInput
    schedule: Schedule
    pairs: int = 1
    masks: bool = True
    validation_limit: int = 96
    start: Path | None = None
    recipe: str = OWN
    views: int = 1
    by_slice: bool = True

    def as_settings(self, cases: Sequence[Path], models: Models) -> Mapping[str, Any]:
        """All that the course of a run depends on, for its folder."""
        usual = {
            "recipe": OWN,
            "views": 1,
            "by_slice": True,
        }  # not named, as runs of before had no such settings
        named = {name: value for name, value in asdict(self).items() if usual.get(name) != value}
        labels = slice_label_digests(cases) if self.by_slice else []
        return {
            **named,
            **({"slice_labels": labels} if labels else {}),
            "schedule": self.schedule.as_settings(),
            "wanted": self.wanted.as_settings(),
            "start": self.start and digest_of(self.start),
            "cases": [digest_of(file) for file in cases],
            "lungs": models.manifest.networks.lungs.sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Inputs of a run.

    Attributes
    ----------
    listed
        Its cases.
    settings
        See `ClassifierTraining.as_settings`.
    input_of
        Input of the network ``(1, 2, T, H, W)`` to score a case with.
    """

    listed: Sequence[Listed]
    settings: Mapping[str, Any]
    input_of: Callable[[Listed], NDArray[np.float32]]


def train_classifier(
    cases: Sequence[Path],
    out: Path,
    training: ClassifierTraining,
    models: Models,
    *,
    report: Report,
) -> Path:
    """Train, or go on training; write the weights, and the scores of validation and test cases.

    Cases of DICOM or NIfTI are scored as the node would score them, prepared ones as they are.
    The run folder gets ``cases.csv``, the list with the split that was drawn.

    Parameters
    ----------
    cases
        Case lists with labels; `pipeline.cases.case_list`.
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
        If the list is faulty, a split lacks positive or negative cases, or the folder holds
        another run.
    """
    settings = training.as_settings(cases, models)
    require_free(out, settings)
    if (out / CASES).resolve() in {file.resolve() for file in cases}:
        raise PipelineError(f"a run folder without the list to train on expected, got {out.name}")
    if (out / WEIGHTS).exists():  # written last: the run is done
        return out / WEIGHTS
    listed = list_prepared(cases, out / PREPARED, training.wanted, models, seed=training.seed)

    def input_of(row: Listed) -> NDArray[np.float32]:
        return case_input(row.case, models, training.wanted).tensor

    material = Material(listed=listed, settings=settings, input_of=input_of)
    return train_on(material, out, training, models, report=report)


def train_on(
    material: Material,
    out: Path,
    training: ClassifierTraining,
    models: Models,
    *,
    report: Report,
) -> Path:
    """Train on prepared cases, as `train_classifier` does."""
    listed = material.listed
    files = files_of(listed, training.validation_limit)
    folder = RunFolder.open(out, material.settings)
    splits = {row.patient: row.split for row in listed}
    write_cases(out / CASES, [row.case for row in listed], splits)
    network = WithAuxHead(started(training)).to(models.device)
    task = RECIPES[training.recipe](
        network=network,
        files=files,
        wanted=training.wanted,
        seed=training.seed,
        pairs=training.pairs,
        masks=training.masks,
        views=training.views,
        by_slice=training.by_slice,
    )
    fit(task, training.schedule, folder, seed=training.seed, report=report)
    data = _weights(network.classifier)
    digest = digest_of_weights(
        models.manifest.networks.lungs.sha256, hashlib.sha256(data).hexdigest()
    )
    for split in (Split.VALIDATION, Split.TEST):
        write_scores(
            out,
            split,
            [row for row in listed if row.split is split],
            lambda row: margin_of(network.classifier, material.input_of(row)),
            Origin(weights=digest, temperature=1.0),
        )
    write_whole(out / WEIGHTS, data)
    return out / WEIGHTS


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


def _weights(network: nn.Module) -> bytes:
    """Weights as the bytes of a safetensors file."""
    return tensors_to_bytes(
        {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    )


def write_scores(
    out: Path,
    split: Split,
    listed: Sequence[Listed],
    margin: Callable[[Listed], float],
    origin: Origin,
) -> None:
    """Write the uncalibrated scores of a split; and the cases without one, if there are any.

    Parameters
    ----------
    margin
        Scores a case: logit of positive less that of negative.
    """
    rows: list[Row] = []
    unscored: list[tuple[str, str]] = []
    for row in listed:
        try:
            score = float(special.expit(margin(row)))
        except PipelineError as fault:
            unscored.append((row.case.place, str(fault)))
            continue
        rows.append((row.patient, row.label, score, row.case.path))
    if rows:
        write_whole(out / f"{split}-scores.csv", table(rows, origin).encode())
    if unscored:
        text = "".join(f"{place}: {reason}\n" for place, reason in unscored)
        write_whole(out / f"{split}-unscored.txt", text.encode())
