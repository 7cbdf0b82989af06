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

from pipeline.counting import parameters
from pipeline.durably import write_whole
from pipeline.errors import PipelineError
from pipeline.manifest import MANIFEST
from pipeline.models import read_manifest, write_network
from pipeline.networks.unet import UNet
from pipeline.training.cases import Split, digest_of, read_cases, split_of
from pipeline.training.fit import Report, Schedule, fit
from pipeline.training.lung_lesson import WINDOW_HU, LungLesson, Pool
from pipeline.training.lung_slices import Slices, case_slices, phantom_slices
from pipeline.training.run_folder import RunFolder

HELD_OUT_FROM = 90_000  #: first seed of the phantoms held out
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
    trained_on
        What the cases are, in words, for the model card.
    """

    base: Path
    trained_on: Sequence[str]


def train_lungs(
    lists: Sequence[Path],
    out: Path,
    training: LungTraining,
    *,
    origin: Origin,
    device: torch.device,
    report: Report,
) -> Path:
    """Train, or go on training; make a model folder of the run.

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
        If there is nothing to learn from or nothing to judge on.
    """
    settings = {**asdict(training), "lists": [digest_of(file) for file in lists]}
    folder = RunFolder.open(out, settings)
    real = _real_slices(lists, training.seed)
    torch.manual_seed(training.seed)
    lesson = LungLesson(
        network=UNet().to(device),
        phantoms=_phantoms(range(training.seed * 1000, training.seed * 1000 + training.phantoms)),
        real=[Pool.of(slices) for slices in real[Split.TRAIN]],
        held_out=_held_out(real[Split.VALIDATION], training.held_out_phantoms),
        size=training.size,
        batch=training.batch,
        seed=training.seed,
    )
    if not lesson.phantoms and not lesson.real:
        raise PipelineError("cases or phantoms to learn from expected, got neither")
    history = fit(lesson, training.schedule, folder, seed=training.seed, report=report)
    model = out / "model"
    best = max(entry["validation Dice"] for entry in history)
    _write_model(model, origin.base, lesson.network, training, {"validation Dice": round(best, 4)})
    _write_card(model, origin.trained_on)
    return model


def _real_slices(lists: Sequence[Path], seed: int) -> Mapping[Split, list[Slices]]:
    """Slices of every case, by the split of its patient."""
    cases = [case for file in lists for case in read_cases(file, labelled=False)]
    splits = split_of(cases, seed)
    held: dict[Split, list[Slices]] = {split: [] for split in Split}
    for case in cases:
        held[splits[case.patient]].append(case_slices(case))
    return held


def _phantoms(seeds: range) -> list[Pool]:
    return [Pool.of(phantom_slices(seeds))] if seeds else []


def _held_out(real: Sequence[Slices], phantoms: int) -> Slices:
    """Every ninth slice of the cases and phantoms held out."""
    parts = [*real]
    if phantoms:
        parts.append(phantom_slices(range(HELD_OUT_FROM, HELD_OUT_FROM + phantoms)))
    if not parts:
        raise PipelineError("validation cases or phantoms to judge on expected, got neither")
    return Slices(
        hu=np.concatenate([part.hu[::JUDGED_STEP] for part in parts]),
        lungs=np.concatenate([part.lungs[::JUDGED_STEP] for part in parts]),
    )


def _write_model(
    folder: Path,
    base: Path,
    network: torch.nn.Module,
    training: LungTraining,
    metrics: Mapping[str, Any],
) -> None:
    """Write a model folder: the classifier of another model, and these lungs."""
    classifier = read_manifest(base).networks.classifier
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(base / classifier.file, folder / classifier.file)
    manifest = json.loads((base / MANIFEST).read_bytes())
    for void in ("conformal", "reference"):  # found with the other lungs
        manifest.pop(void, None)
    manifest["card"]["metrics"]["lungs"] = dict(metrics)
    write_whole(folder / MANIFEST, json.dumps(manifest).encode())
    entry = {
        "architecture": "unet-2d",
        "file": "lungs.safetensors",
        "parameters": parameters(network),
        "input": {"size": training.size, "window_hu": [int(bound) for bound in WINDOW_HU]},
    }
    write_network(folder, "lungs", network.state_dict(), entry)


def _write_card(folder: Path, trained_on: Sequence[str]) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    card = manifest["card"]
    others = [line for line in card["trained_on"] if not line.startswith(PART)]
    card["trained_on"] = [*(f"{PART}{line}" for line in trained_on), *others]
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / MANIFEST, text.encode())
