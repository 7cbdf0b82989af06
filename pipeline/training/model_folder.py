"""Make a model folder of a training run, with what its manifest and card must say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pipeline.atomic_write import write_whole
from pipeline.errors import PipelineError
from pipeline.metrics.delong import auc
from pipeline.metrics.scores import read_scores
from pipeline.model.complexity import parameters
from pipeline.model.loading import read_manifest, write_network
from pipeline.model.manifest import MANIFEST, ClassifierInput, parse_manifest
from pipeline.training.classifiers import CLASSIFIERS, DEPLOYABLE

PART = "classifier: "  #: how the card's lines about the classifier begin
UNCALIBRATED = "one half of the uncalibrated score; `dicom-node calibrate` has not been run"
LIMITS = (
    "it has learnt to tell the positive from the negative cases of its training, by whatever tells"
    " them apart there",
    "it was not validated on patients, scanners or diseases other than those named here",
)
ON_VALIDATION = "classifier on its validation cases, which chose its weights (optimistic)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A classifier that came out of a run.

    Attributes
    ----------
    trained_on, reproduce
        Lines for the model card.
    metrics
        Figures for the card, by name.
    """

    network: str
    weights: Path
    wanted: ClassifierInput
    trained_on: Sequence[str]
    reproduce: str
    metrics: Mapping[str, Any] = field(default_factory=dict)


def figures_of(validation_scores: Path) -> Mapping[str, Any]:
    """Sum up the scores of a run's validation cases for a card; no AUC of too few."""
    cases = read_scores(validation_scores)
    counts = {
        "cases": len(cases.labels),
        "patients": cases.patient_count,
        "positives": cases.positives,
    }
    if min(cases.positives, cases.negatives) < 2:
        return {ON_VALIDATION: counts}
    area = auc(cases.labels, cases.scores)
    rounded = [round(area.value, 3), [round(area.low, 3), round(area.high, 3)]]
    return {ON_VALIDATION: {**counts, "ROC AUC (DeLong)": rounded}}


def build(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Make a model folder whole or not at all.

    One that is there is left alone, since it may have been calibrated.

    Returns
    -------
    bool
        Whether it was made now.
    """
    if folder.exists():
        return False
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    fill(beside)
    beside.rename(folder)
    return True


def today() -> str:
    """Day on which a model was made, for its manifest."""
    return datetime.now(UTC).date().isoformat()


def write_model(folder: Path, base: Path, trained: Trained, *, name: str, version: str) -> None:
    """Write a model folder: the lungs of another model, and this classifier, not yet calibrated.

    Parameters
    ----------
    folder
        Is there, and empty: see `build`.
    base
        Model folder whose lungs, and what its card says of them, are taken.

    Raises
    ------
    PipelineError
        If the node cannot run this network.
    """
    if trained.network not in DEPLOYABLE:
        raise PipelineError(
            f"a classifier of {', '.join(DEPLOYABLE)} expected for a model, got {trained.network}"
        )
    lungs = read_manifest(base).networks.lungs
    shutil.copyfile(base / lungs.file, folder / lungs.file)
    manifest = _manifest(json.loads((base / MANIFEST).read_bytes()), trained)
    manifest |= {"name": name, "version": version, "created": today()}
    write_whole(folder / MANIFEST, json.dumps(manifest).encode())
    entry = {
        "architecture": DEPLOYABLE[trained.network],
        "file": "classifier.safetensors",
        "parameters": parameters(CLASSIFIERS[trained.network]()),
        "input": trained.wanted.model_dump(mode="json"),
    }
    write_network(folder, "classifier", load_file(trained.weights), entry)
    parse_manifest((folder / MANIFEST).read_bytes())


def _manifest(base: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """Manifest of the base, without what it said of its own classifier."""
    card = base["card"]
    return {
        "networks": {"lungs": base["networks"]["lungs"]},
        "calibration": {"temperature": 1.0},
        "operating_points": {"default": {"threshold": 0.5, "from": UNCALIBRATED}},
        "card": {
            **card,
            "trained_on": [*_others(card["trained_on"]), *_said(trained.trained_on)],
            "limits": [*_others(card["limits"]), *_said(LIMITS)],
            "metrics": {"lungs": card["metrics"].get("lungs", {}), **trained.metrics},
            "reproduce": trained.reproduce,
        },
    }


def _others(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if not line.startswith(PART)]


def _said(lines: Iterable[str]) -> list[str]:
    return [f"{PART}{line}" for line in lines]
