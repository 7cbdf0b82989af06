"""Write the model card of the weights that the authors of DeCoVNet published.

Facts: Wang et al., IEEE TMI 39(8):2615-2625, 2020, doi 10.1109/TMI.2020.2995965, their repository
(github.com/sydney0zq/covid-19-detection), and a recount of their 131 published test predictions.
The paper's table II calls sensitivity "PPV" and specificity "NPV"; here they have their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.model.manifest import Manifest

LICENCE = (
    "CC BY-NC-SA 4.0, of the authors: not for commercial use, share alike; the weights are not"
    " part of dicom-node, and may not be passed on with it"
)
TRAINED_ON: Mapping[str, tuple[str, ...]] = {
    "lungs": (
        "lungs: scans of one hospital's GE Discovery CT750HD, masks of an unsupervised method"
        " looked over by the authors, who left out the failures (Wang et al. 2020)",
        "lungs: not known: which scans these were, whether test scans were among them, and the"
        " exact preparation (the published script does not make the published weights)",
    ),
    "classifier": (
        "classifier: 499 scans up to 23 January 2020 of the same scanner, COVID-19 against"
        " healthy, labels from the CT reports (Wang et al. 2020)",
        "classifier: not known: the list of scans and the module that was trained; the file was"
        " probably chosen by its AUC on the test scans",
    ),
}
LIMITS: Mapping[str, tuple[str, ...]] = {
    "lungs": (
        f"lungs: licence {LICENCE}",
        "lungs: slices are made square and resized by area and not rounded to 8 bits: the network"
        " is theirs, the preparation of its input is close to theirs but not equal",
    ),
    "classifier": (
        f"classifier: licence {LICENCE}",
        "classifier: healthy controls only, no other pneumonia; positives 20 years older than"
        " negatives; one scanner, one hospital, follow-ups of training patients among test scans",
        "classifier: they dropped about a quarter of the slices at the feet and 30 % at the head;"
        " here all lung is seen",
        "classifier: threshold 0.5 and temperature 1 as in the paper: not calibrated here; on"
        " their own test scans the best point was 0.216",
    ),
}
NOT_FOR = (
    "diagnosis",
    "triage of patients",
    "commercial use",
    "any use without a radiologist's own reading",
)
#: Recounted from the authors' 131 published predictions (75 positive); of their own test.
PUBLISHED: Mapping[str, float | int] = {
    "scans": 131,
    "auc": 0.959,
    "average_precision": 0.976,
    "threshold": 0.5,
    "sensitivity": 0.84,
    "specificity": 0.982,
    "ppv": 0.984,
    "npv": 0.821,
    "accuracy": 0.901,
}
MEASURED_ELSEWHERE = "classifier, as published by its authors; nothing was measured here"


def authors_card(digests: Mapping[str, str], base: Manifest | None) -> dict[str, Any]:
    """Model card of a folder with one or both of the authors' networks.

    Parameters
    ----------
    digests
        SHA-256 of each imported checkpoint, by ``lungs`` and ``classifier``.
    base
        Where the other network is from.
    """
    files = ", ".join(f"{part} SHA-256 {digest}" for part, digest in digests.items())
    metrics: dict[str, Any] = {}
    if "classifier" in digests:
        metrics[MEASURED_ELSEWHERE] = dict(PUBLISHED)
    if base is not None:
        metrics[f"of {_name(base)}, with its own two networks"] = dict(base.card.metrics)
    return {
        "trained_on": _lines(TRAINED_ON, base.card.trained_on if base else (), base, digests),
        "intended_use": "Research: comparison with published results. Not a medical device.",
        "not_for": list(NOT_FOR),
        "limits": _lines(LIMITS, base.card.limits if base else (), base, digests),
        "metrics": metrics,
        "reproduce": f"dicom-node model import, checkpoints: {files}"
        + (f"; the other network: {_name(base)} ({base.card.reproduce})" if base else ""),
    }


def _lines(
    ours: Mapping[str, tuple[str, ...]],
    theirs: tuple[str, ...],
    base: Manifest | None,
    digests: Mapping[str, str],
) -> list[str]:
    """Lines of each network: the authors', or those of the base that begin with its name."""
    lines: list[str] = []
    for part, said in ours.items():
        if part in digests:
            lines += said
        elif base is not None:
            kept = [line for line in theirs if line.startswith(f"{part}:")]
            lines += kept or [f"{part}: see the card of {_name(base)}"]
    return lines


def _name(manifest: Manifest) -> str:
    return f"{manifest.name} {manifest.version}"
