"""Train the UNet that finds the lungs on a case list: ``dicom-node train lungs``.

Masks drawn by people are used where the list names them; other cases teach what the unsupervised
method finds in them, with opacities painted inside; phantoms have exact truth.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Split, digest_of, read_cases, split_of
from pipeline.errors import PipelineError
from pipeline.model.complexity import parameters
from pipeline.model.loading import read_manifest, write_network
from pipeline.model.manifest import MANIFEST, Manifest, parse_manifest
from pipeline.networks.unet import UNet
from pipeline.training.fit import Report, Schedule, fit
from pipeline.training.lung_slices import Slices, case_slices, phantom_slices
from pipeline.training.lung_task import WINDOW_HU, LungLesson, Pool
from pipeline.training.model_folder import build, today
from pipeline.training.run_folder import RunFolder, require_free

MOST_PHANTOMS = 10_000  #: of a seed: those of two seeds are different ones
JUDGED_STEP = 9  #: every so many slices of those held out
PART = "lungs: "  #: how the card's lines about the lungs begin


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining:
    """What to train on, and how.

    Attributes
    ----------
    size
        Rows and columns of the network's input, a multiple of 16.
    batch
        Slices a step.
    phantoms, held_out_phantoms
        How many of them to learn from and to judge on.
    """

    seed: int
    schedule: Schedule
    size: int = 192
    batch: int = 8
    phantoms: int = 40
    held_out_phantoms: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
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
    origin: Origin,
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
        If there is nothing to learn from or nothing to judge on, or the folder holds another
        run.
    """
    base = read_manifest(origin.base)
    settings = {
        **asdict(training),
        "lists": [digest_of(file) for file in lists],
        "classifier": base.networks.classifier.sha256,
    }
    require_free(out, settings)
    real = _real_slices(lists, training.seed)
    torch.manual_seed(training.seed)
    lesson = LungLesson(
        network=UNet().to(device),
        phantoms=_phantoms(phantom_seeds(training.seed, training.phantoms, held_out=False)),
        real=[Pool.of(slices) for slices in real[Split.TRAIN]],
        held_out=_held_out(
            real[Split.VALIDATION],
            phantom_seeds(training.seed, training.held_out_phantoms, held_out=True),
        ),
        size=training.size,
        batch=training.batch,
        seed=training.seed,
    )
    if not lesson.phantoms and not lesson.real:
        raise PipelineError("cases or phantoms to learn from expected, got neither")
    folder = RunFolder.open(out, settings)
    history = fit(lesson, training.schedule, folder, seed=training.seed, report=report)
    best = max(entry["validation Dice"] for entry in history)
    card = lungs_card(base, origin, {"validation Dice": round(best, 4)})
    head = {"name": out.resolve().name, "version": "1", "created": today(), **card}
    build(
        out / "model",
        lambda made: _write_model(made, origin.base, lesson.network, training, head),
    )
    return out / "model"


def phantom_seeds(seed: int, count: int, *, held_out: bool) -> range:
    """Seeds of a run's phantoms: even ones to learn from, odd ones to judge on."""
    first = 2 * seed * MOST_PHANTOMS + int(held_out)
    return range(first, first + 2 * count, 2)


def _real_slices(lists: Sequence[Path], seed: int) -> Mapping[Split, list[Slices]]:
    """Slices of every case, by the split of its patient."""
    cases = read_cases(*lists, labelled=False)
    splits = split_of(cases, seed)
    held: dict[Split, list[Slices]] = {split: [] for split in Split}
    for case in cases:
        try:
            held[splits[case.patient]].append(case_slices(case))
        except PipelineError as exc:
            raise PipelineError(f"{case.place}: {exc}") from exc
    return held


def _phantoms(seeds: range) -> list[Pool]:
    return [Pool.of(phantom_slices(seeds))] if seeds else []


def _held_out(real: Sequence[Slices], phantoms: range) -> Slices:
    """Every ninth slice of the cases and phantoms held out."""
    parts = [*real]
    if phantoms:
        parts.append(phantom_slices(phantoms))
    if not parts:
        raise PipelineError("validation cases or phantoms to judge on expected, got neither")
    return Slices(
        hu=np.concatenate([part.hu[::JUDGED_STEP] for part in parts]),
        lungs=np.concatenate([part.lungs[::JUDGED_STEP] for part in parts]),
    )


def lungs_card(base: Manifest, origin: Origin, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Card and operating points of a model with new lungs and the classifier of another.

    What was found out about the classifier was found with the other lungs, and says so.
    """
    name, card = f"{base.name} {base.version}", base.card
    others = {part: value for part, value in card.metrics.items() if part != "lungs"}
    return {
        "operating_points": {
            point: {"threshold": each.threshold, "from": f"with the lungs of {name}: {each.source}"}
            for point, each in base.operating_points.items()
        },
        "card": {
            "trained_on": [
                *(f"{PART}{line}" for line in origin.trained_on),
                *_others(card.trained_on),
            ],
            "intended_use": card.intended_use,
            "not_for": list(card.not_for),
            "limits": [
                f"{PART}not validated on patients or scanners other than those named here",
                f"classifier: its figures, temperature and thresholds were found with the lungs of"
                f" {name}; calibrate it with these",
                *_others(card.limits),
            ],
            "metrics": {"lungs": dict(metrics), f"of {name}, with its own lungs": others},
            "reproduce": f"{origin.reproduce}; the classifier: {name} ({card.reproduce})",
        },
    }


def _others(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith(PART)]


def _write_model(
    folder: Path,
    base: Path,
    network: torch.nn.Module,
    training: LungTraining,
    head: Mapping[str, Any],
) -> None:
    """Write a model folder: the classifier of another model, and these lungs."""
    classifier = read_manifest(base).networks.classifier
    shutil.copyfile(base / classifier.file, folder / classifier.file)
    manifest = json.loads((base / MANIFEST).read_bytes()) | head
    for void in ("conformal", "reference"):  # found with the other lungs
        manifest.pop(void, None)
    write_whole(folder / MANIFEST, json.dumps(manifest).encode())
    entry = {
        "architecture": "unet-2d",
        "file": "lungs.safetensors",
        "parameters": parameters(network),
        "input": {"size": training.size, "window_hu": [int(bound) for bound in WINDOW_HU]},
    }
    write_network(folder, "lungs", network.state_dict(), entry)
    parse_manifest((folder / MANIFEST).read_bytes())
