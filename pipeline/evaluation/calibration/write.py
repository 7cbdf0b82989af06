"""Write a calibration into a model folder: temperature and points, prediction sets, reference.

The manifest is replaced whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from pipeline.atomic_write import write_whole
from pipeline.evaluation.calibration.temperature import Calibrated, rescaled
from pipeline.evaluation.calibration.trust import Trust
from pipeline.metrics.scores import ScoredCases
from pipeline.model.feature_reference import to_bytes
from pipeline.model.manifest import (
    DEFAULT_POINT,
    MANIFEST,
    Manifest,
    ReferenceEntry,
    parse_manifest,
    read_manifest,
)

METRICS = "calibration"  #: under which the card says what the calibration was made on


def write_calibration(
    folder: Path, calibrated: Calibrated, cases: ScoredCases, *, point: str
) -> Manifest:
    """Enter temperature, operating points and their origin into ``manifest.json``.

    Points of other names are carried over to the new temperature, so that they call the same
    series positive as before; so are prediction sets, those of scanner groups too.

    Parameters
    ----------
    cases
        That the calibration was made on.
    point
        Name of the point that becomes the default.

    Raises
    ------
    ModelError
        If the folder has no manifest as expected.
    ValueError
        If `point` is none of the points.
    """
    manifest = _manifest(folder)
    manifest["calibration"]["temperature"] = calibrated.temperature
    manifest["operating_points"] = points(manifest["operating_points"], calibrated, cases, point)
    groups = manifest.get("scanner_groups", {}).values()
    for sets in (manifest, *groups):
        _carry_over((sets.get("conformal") or {}).get("levels", ()), calibrated)
    manifest["card"]["metrics"][METRICS] = card_lines(calibrated, cases)
    parsed, raw = _encoded(manifest)
    write_whole(folder / MANIFEST, raw)
    return parsed


def points(
    old: dict[str, Any], calibrated: Calibrated, cases: ScoredCases, default: str
) -> dict[str, Any]:
    """Operating points of the manifest after a calibration."""
    on = f"{len(cases.labels)} cases of {cases.patient_count} patients"
    chosen = {
        point.name: {"threshold": point.threshold, "from": f"{point.source}: {on}"}
        for point in calibrated.points
    }
    if default not in chosen:
        raise ValueError(f"expected a point of {', '.join(chosen)}, got {default}")
    carried = {
        name: {**entry, "threshold": carried_over(entry["threshold"], calibrated)}
        for name, entry in old.items()
    }
    return {**carried, **chosen, DEFAULT_POINT: chosen[default]}


def _carry_over(levels: Iterable[dict[str, Any]], calibrated: Calibrated) -> None:
    """Bring prediction sets to the new temperature, in place."""
    for level in levels:
        for bound in ("negative_at_most", "positive_at_least"):
            level[bound] = carried_over(level[bound], calibrated)


def carried_over(threshold: float, calibrated: Calibrated) -> float:
    """Threshold at the new temperature; 0 and 1 stay, since they lie beyond every score."""
    if threshold in (0, 1):
        return threshold
    ratio = calibrated.temperature / calibrated.old_temperature
    return float(rescaled(np.array([threshold]), ratio)[0])


def card_lines(calibrated: Calibrated, cases: ScoredCases) -> dict[str, Any]:
    """Figures for the model card: what the calibration was made on."""
    bound = {
        "temperature": "at its bound: a threshold (almost) parts the classes, or the score"
        " says nothing"
    }
    return {
        **(bound if calibrated.at_bound else {}),
        "cases": len(cases.labels),
        "patients": cases.patient_count,
        "positives": cases.positives,
        "old_temperature": calibrated.old_temperature,
        "brier before and after, on these cases": [
            round(agreement.brier, 4) for agreement in (calibrated.before, calibrated.after)
        ],
    }


def write_trust(folder: Path, trust: Trust) -> Manifest:
    """Enter prediction sets and reference into ``manifest.json``; write the reference's file.

    Sets of scanner groups are replaced by those given, or go: they belong to the sets of before.

    The reference has its digest in its name, so that the old manifest and the new one both
    find their own, whenever the writing breaks off.

    Raises
    ------
    ModelError
        If the folder has no manifest as expected.
    """
    old = read_manifest(folder)[0].reference
    data = to_bytes(trust.fitted.reference)
    digest = hashlib.sha256(data).hexdigest()
    entry = ReferenceEntry.model_validate(
        {
            "file": f"reference-{digest[:8]}.safetensors",
            "sha256": digest,
            "cases": trust.cases,
            "quantile": trust.quantile,
            "limit": trust.fitted.limit,
            "from": trust.source,
            "flagged": trust.flagged,
        }
    )
    manifest = _manifest(folder)
    for name, value in (("conformal", trust.conformal), ("reference", entry)):
        manifest[name] = _plain(value)
    manifest.pop("scanner_groups", None)
    if trust.groups:
        manifest["scanner_groups"] = {name: _plain(group) for name, group in trust.groups.items()}
    parsed, raw = _encoded(manifest)
    write_whole(folder / entry.file, data)
    write_whole(folder / MANIFEST, raw)
    if old is not None and old.file != entry.file:
        (folder / old.file).unlink(missing_ok=True)
    return parsed


def _plain(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a folder as JSON, once it is known to be as expected."""
    read_manifest(folder)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return manifest


def _encoded(manifest: dict[str, Any]) -> tuple[Manifest, bytes]:
    """Encode a manifest, and parse the bytes: what could not be read again is not written."""
    raw = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    return parse_manifest(raw), raw
