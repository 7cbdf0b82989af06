"""Make a model folder of a training run, with its manifest and model card.

A run trains one network; the other comes from a *base*, another model folder, with what that
folder's card says of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from pipeline.atomic_write import write_whole
from pipeline.errors import PipelineError
from pipeline.metrics.delong import auc
from pipeline.metrics.scores import read_scores
from pipeline.model.complexity import parameters
from pipeline.model.errata import ERRATA
from pipeline.model.loading import write_network
from pipeline.model.manifest import (
    MANIFEST,
    ClassifierInput,
    Manifest,
    parse_manifest,
    read_manifest,
)
from pipeline.training.classifiers import CLASSIFIERS, DEPLOYABLE

OF_CLASSIFIER = "classifier: "  #: how the card's lines about the classifier begin
OF_LUNGS = "lungs: "  #: how those about the lungs begin
UNCALIBRATED = "one half of the uncalibrated score; `dicom-node calibrate` has not been run"
CLASSIFIER_LIMITS = (
    "it has learnt to tell the positive from the negative cases of its training, by whatever tells"
    " them apart there",
    "it was not validated on patients, scanners or diseases other than those named here",
)
LUNGS_LIMIT = "not validated on patients or scanners other than those named here"
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedLungs:
    """A UNet that came out of a run.

    Attributes
    ----------
    weights
        Its tensors by name.
    parameters
        How many numbers they are.
    size, window_hu
        Its input: rows and columns, attenuation window.
    trained_on, reproduce
        Lines for the model card.
    metrics
        Figures for the card, by name.
    """

    weights: Mapping[str, Tensor]
    parameters: int
    size: int
    window_hu: tuple[float, float]
    trained_on: Sequence[str]
    reproduce: str
    metrics: Mapping[str, Any]


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
    try:
        fill(beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


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
    lungs = read_manifest(base)[0].networks.lungs
    write_whole(folder / lungs.file, (base / lungs.file).read_bytes())
    manifest = _classifier_manifest(json.loads((base / MANIFEST).read_bytes()), trained)
    manifest |= {"name": name, "version": version, "created": _today()}
    write_whole(folder / MANIFEST, json.dumps(manifest).encode())
    entry = {
        "architecture": DEPLOYABLE[trained.network],
        "file": "classifier.safetensors",
        "parameters": parameters(CLASSIFIERS[trained.network]()),
        "input": trained.wanted.as_settings(),
    }
    write_network(folder, "classifier", load_file(trained.weights), entry)
    parse_manifest((folder / MANIFEST).read_bytes())


def _classifier_manifest(base: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """Manifest of the base, without what it said of its own classifier."""
    card = base["card"]
    return {
        "networks": {"lungs": base["networks"]["lungs"]},
        "calibration": {"temperature": 1.0},
        "operating_points": {"default": {"threshold": 0.5, "from": UNCALIBRATED}},
        "card": {
            **card,
            "trained_on": [
                *_without(OF_CLASSIFIER, card["trained_on"]),
                *_with(OF_CLASSIFIER, trained.trained_on),
            ],
            "limits": [
                *_without(OF_CLASSIFIER, card["limits"]),
                *_with(OF_CLASSIFIER, CLASSIFIER_LIMITS),
            ],
            "metrics": {"lungs": card["metrics"].get("lungs", {}), **trained.metrics},
            "reproduce": trained.reproduce,
        },
    }


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


def write_lungs_model(
    folder: Path, base: Path, trained: TrainedLungs, *, name: str, version: str
) -> None:
    """Write a model folder: the classifier of another model, and these lungs.

    Corrections of the base's card go with its classifier, which they are about.

    Parameters
    ----------
    folder
        Is there, and empty: see `build`.
    base
        Model folder whose classifier, and what its card says of it, are taken.
    """
    of_base, _ = read_manifest(base)
    classifier = of_base.networks.classifier
    write_whole(folder / classifier.file, (base / classifier.file).read_bytes())
    if (base / ERRATA).exists():
        write_whole(folder / ERRATA, (base / ERRATA).read_bytes())
    manifest = json.loads((base / MANIFEST).read_bytes())
    manifest |= {"name": name, "version": version, "created": _today()}
    manifest |= _lungs_manifest(of_base, trained)
    for void in ("conformal", "reference"):  # found with the other lungs
        manifest.pop(void, None)
    write_whole(folder / MANIFEST, json.dumps(manifest).encode())
    entry = {
        "architecture": "unet-2d",
        "file": "lungs.safetensors",
        "parameters": trained.parameters,
        "input": {"size": trained.size, "window_hu": [int(bound) for bound in trained.window_hu]},
    }
    write_network(folder, "lungs", trained.weights, entry)
    parse_manifest((folder / MANIFEST).read_bytes())


def _lungs_manifest(base: Manifest, trained: TrainedLungs) -> dict[str, Any]:
    """Card and operating points of a model with new lungs and the classifier of the base.

    What was found out about the classifier was found with the other lungs, and says so.
    """
    name, card = f"{base.name} {base.version}", base.card
    others = {part: value for part, value in card.metrics.items() if part != "lungs"}
    return {
        "operating_points": {
            key: {"threshold": point.threshold, "from": f"with the lungs of {name}: {point.source}"}
            for key, point in base.operating_points.items()
        },
        "card": {
            "trained_on": [
                *_with(OF_LUNGS, trained.trained_on),
                *_without(OF_LUNGS, card.trained_on),
            ],
            "intended_use": card.intended_use,
            "not_for": list(card.not_for),
            "limits": [
                *_with(OF_LUNGS, [LUNGS_LIMIT]),
                f"classifier: its figures, temperature and thresholds were found with the lungs of"
                f" {name}; calibrate it with these",
                *_without(OF_LUNGS, card.limits),
            ],
            "metrics": {
                "lungs": dict(trained.metrics),
                f"of {name}, with its own lungs": others,
            },
            "reproduce": f"{trained.reproduce}; the classifier: {name} ({card.reproduce})",
        },
    }


def _today() -> str:
    """Day on which a model is made, for its manifest."""
    return datetime.now(UTC).date().isoformat()


def _with(part: str, lines: Iterable[str]) -> list[str]:
    """Lines of a card, marked as about a part."""
    return [f"{part}{line}" for line in lines]


def _without(part: str, lines: Iterable[str]) -> list[str]:
    """Lines of a card that are not about a part."""
    return [line for line in lines if not line.startswith(part)]
