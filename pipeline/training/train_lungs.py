"""Train the UNet that finds the lungs on a case list: ``dicom-node train lungs``.

Masks drawn by people are used where the list names them; other cases teach what the unsupervised
method finds in them, with opacities painted inside; phantoms have exact truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.cases.case_list import Split, digest_of, read_cases, split_of
from pipeline.errors import PipelineError
from pipeline.model.complexity import parameters
from pipeline.model.manifest import read_manifest
from pipeline.networks.unet import UNet
from pipeline.training.fit import Report, Schedule, fit
from pipeline.training.lung_slices import Slices, case_slices, phantom_slices
from pipeline.training.lung_task import LUNG_TASK_WINDOW_HU, LungTask, Pool, with_painted
from pipeline.training.model_folder import TrainedLungs, build, write_lungs_model
from pipeline.training.run_folder import RunFolder, require_free

MOST_PHANTOMS = 10_000  #: of a seed: those of two seeds are different ones
RECIPE = 3  #: one more whenever other pictures are drawn; from 2 on with organs, 1 was not named
VALIDATION_STEP = 9  #: every so many slices of those held out


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining:
    """Options of a training.

    Their names stand in ``settings.json``, by which runs of earlier versions are known again.

    Attributes
    ----------
    size
        Rows and columns of the network's input, a multiple of 16.
    batch
        Slices a step.
    phantoms, held_out_phantoms
        How many of them to train and to validate on.
    start
        Weights of a UNet to begin with; None begins with random ones.
    """

    seed: int
    schedule: Schedule
    size: int = 192
    batch: int = 8
    phantoms: int = 40
    held_out_phantoms: int = 6
    start: Path | None = None

    def as_settings(self, lists: Sequence[Path], classifier_sha256: str) -> Mapping[str, Any]:
        """All that the run folder depends on, for its ``settings.json``."""
        named = {name: value for name, value in asdict(self).items() if value is not None}
        if self.start is not None:
            named["start"] = digest_of(self.start)
        return {
            **named,
            "recipe": RECIPE,
            "schedule": self.schedule.as_settings(),
            "lists": [digest_of(file) for file in lists],
            "classifier": classifier_sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrigin:
    """What the model folder of a run takes over.

    Attributes
    ----------
    base
        Model folder that gives the classifier.
    trained_on, reproduce
        What the cases are, in words, and how it was made, for the model card.
    """

    base: Path
    trained_on: Sequence[str]
    reproduce: str


def train_lungs(
    lists: Sequence[Path],
    out: Path,
    training: LungTraining,
    *,
    origin: ModelOrigin,
    device: torch.device,
    report: Report,
) -> Path:
    """Train, or go on training; make a model folder of the run, if there is none yet.

    Parameters
    ----------
    lists
        Case lists; labels are not needed.
    out
        The run folder.

    Returns
    -------
    Path
        The model folder, ``model`` in the run folder.

    Raises
    ------
    PipelineError
        If there is nothing to train or to validate on, or the folder holds another run.
    """
    classifier = read_manifest(origin.base)[0].networks.classifier
    settings = training.as_settings(lists, classifier.sha256)
    require_free(out, settings)
    task = _task(lists, training, device)
    folder = RunFolder.open(out, settings)
    history = fit(task, training.schedule, folder, seed=training.seed, report=report)
    best = max(entry["validation Dice"] for entry in history)
    trained = TrainedLungs(
        weights=task.network.state_dict(),
        parameters=parameters(task.network),
        size=training.size,
        window_hu=LUNG_TASK_WINDOW_HU,
        trained_on=origin.trained_on,
        reproduce=origin.reproduce,
        metrics={"validation Dice": round(best, 4)},
    )
    name = out.resolve().name
    build(
        out / "model",
        lambda made: write_lungs_model(made, origin.base, trained, name=name, version="1"),
    )
    return out / "model"


def _task(lists: Sequence[Path], training: LungTraining, device: torch.device) -> LungTask:
    """Read the cases, make the phantoms and the network."""
    real = _real_slices(lists, training.seed)
    torch.manual_seed(training.seed)
    task = LungTask(
        network=started(training.start).to(device),
        phantoms=_phantoms(phantom_seeds(training.seed, training.phantoms, held_out=False)),
        real=[Pool.of(slices) for slices in real[Split.TRAIN]],
        held_out=_held_out(
            real[Split.VALIDATION],
            phantom_seeds(training.seed, training.held_out_phantoms, held_out=True),
            training.seed,
        ),
        size=training.size,
        batch=training.batch,
        seed=training.seed,
    )
    if not task.phantoms and not task.real:
        raise PipelineError("cases or phantoms to learn from expected, got neither")
    return task


def started(start: Path | None) -> UNet:
    """Build the network with its first weights.

    Raises
    ------
    PipelineError
        If the weights to start from are not those of such a network.
    """
    network = UNet()
    if start is not None:
        try:
            network.load_state_dict(load_file(start))
        except (OSError, RuntimeError, SafetensorError) as exc:
            raise PipelineError(f"{start.name}: weights of the UNet expected, got: {exc}") from exc
    return network


def phantom_seeds(seed: int, count: int, *, held_out: bool) -> range:
    """Seeds of a run's phantoms: even ones to train on, odd ones to validate on."""
    first = 2 * seed * MOST_PHANTOMS + int(held_out)
    return range(first, first + 2 * count, 2)


def _real_slices(lists: Sequence[Path], seed: int) -> Mapping[Split, list[Slices]]:
    """Slices of every case, by the split of its patient."""
    cases = read_cases(*lists, labelled=False)
    splits = split_of(cases, seed)
    by_split: dict[Split, list[Slices]] = {split: [] for split in Split}
    for case in cases:
        try:
            by_split[splits[case.patient]].append(case_slices(case))
        except PipelineError as exc:
            raise PipelineError(f"{case.place}: {exc}") from exc
    return by_split


def _phantoms(seeds: range) -> list[Pool]:
    return [Pool.of(phantom_slices(seeds))] if seeds else []


def _held_out(real: Sequence[Slices], phantoms: range, seed: int) -> Slices:
    """Every ninth slice of the cases and phantoms held out, and each with disease painted in."""
    parts = [*real]
    if phantoms:
        parts.append(phantom_slices(phantoms))
    if not parts:
        raise PipelineError("validation cases or phantoms to judge on expected, got neither")
    held_out = Slices(
        hu=np.concatenate([part.hu[::VALIDATION_STEP] for part in parts]),
        lungs=np.concatenate([part.lungs[::VALIDATION_STEP] for part in parts]),
    )
    return with_painted(held_out, seed)
