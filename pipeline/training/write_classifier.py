"""Write a trained classifier into a model folder, with what its manifest and card must say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.manifest import MANIFEST, ClassifierInput
from pipeline.models import write_network
from pipeline.networks.decovnet import DeCoVNet
from pipeline.training.judge_classifier import Verdict

FILE = "classifier.safetensors"
POINT = "Youden's index on held-out synthetic pairs; not validated on patients"
TRAINED_ON = (
    "classifier: synthetic chest phantoms, with and without opacities",
    "classifier: real lungs without COVID-19, as they are and with opacities painted in: {cases}",
)
LIMITS = (
    "classifier: scores on real cases are smoke results; nothing was validated on patients",
    "classifier: not taught to tell COVID-19 from other pneumonia; any ground glass counts",
    "classifier: of held-out synthetic pairs many are faint: see the figures",
)


def write_classifier(
    folder: Path,
    network: DeCoVNet,
    wanted: ClassifierInput,
    verdict: Verdict,
    *,
    cases: Sequence[str],
    reproduce: str,
) -> None:
    """Save the weights; enter them, the calibration, the threshold and the figures.

    Parameters
    ----------
    cases
        What the real series are that were painted.
    reproduce
        The command.
    """
    entry = {
        "architecture": "decovnet",
        "file": FILE,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "input": wanted.model_dump(mode="json"),
    }
    write_network(folder, "classifier", network.state_dict(), entry)
    path = folder / MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["calibration"] = {"temperature": round(verdict.temperature, 4)}
    point = {"threshold": round(verdict.threshold, 4), "from": POINT}
    manifest.setdefault("operating_points", {})["default"] = point
    note(manifest.setdefault("card", {}), verdict, cases, reproduce)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def note(card: dict[str, Any], verdict: Verdict, cases: Sequence[str], reproduce: str) -> None:
    """Enter the classifier into a model card; what others entered stays."""
    said = [line.format(cases="; ".join(cases)) for line in TRAINED_ON[: 2 if cases else 1]]
    for key, lines in (("trained_on", said), ("limits", LIMITS)):
        kept = [line for line in card.get(key, []) if not line.startswith("classifier:")]
        card[key] = [*kept, *lines]
    card.setdefault("metrics", {})["classifier on held-out synthetic pairs"] = {
        key: round(value, 3) for key, value in asdict(verdict).items()
    }
    others = [part for part in card.get("reproduce", "").split("; ") if "classifier" not in part]
    card["reproduce"] = "; ".join([*filter(None, others), reproduce])
