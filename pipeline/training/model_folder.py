"""Make a model folder of a training run, with what its manifest and card must say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pipeline.counting import parameters
from pipeline.durably import write_whole
from pipeline.errors import PipelineError
from pipeline.manifest import MANIFEST, ClassifierInput, parse_manifest
from pipeline.models import read_manifest, write_network
from pipeline.training.classifiers import CLASSIFIERS, DEPLOYABLE

PART = "classifier: "  #: how the card's lines about the classifier begin
UNCALIBRATED = "one half of the uncalibrated score; `dicom-node calibrate` has not been run"
LIMITS = (
    "it has learnt opacities of a COVID-like pattern, and was never validated against other"
    " pneumonias",
    "scores on a handful of real cases are smoke results; nothing was validated on patients",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A classifier that came out of a run.

    Attributes
    ----------
    trained_on, reproduce
        Lines for the model card.
    """

    network: str
    weights: Path
    wanted: ClassifierInput
    trained_on: Sequence[str]
    reproduce: str


def write_model(folder: Path, base: Path, trained: Trained, *, name: str, version: str) -> None:
    """Write a model folder: the lungs of another model, and this classifier, not yet calibrated.

    Parameters
    ----------
    folder
        New, or an earlier one of the same: it is written over.
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
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != base.resolve():
        shutil.copyfile(base / lungs.file, folder / lungs.file)
    manifest = _manifest(json.loads((base / MANIFEST).read_bytes()), trained)
    manifest |= {"name": name, "version": version, "created": datetime.now(UTC).date().isoformat()}
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
            "metrics": {"lungs": card["metrics"].get("lungs", {})},
            "reproduce": trained.reproduce,
        },
    }


def _others(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if not line.startswith(PART)]


def _said(lines: Iterable[str]) -> list[str]:
    return [f"{PART}{line}" for line in lines]
