"""A model with bounds for one group of scanners, and too few cases for those of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.model.manifest import BUNDLED, MANIFEST, Manifest, parse_manifest

OWN, FEW, OTHER = "dicom-node Synthetic chest", "MAKER Model 7", "MAKER Model 9"  #: scanners
GROUP_LOW, GROUP_HIGH = 0.6, 0.8  #: of the group that has bounds of its own
SCANNER_GROUPS: dict[str, Any] = {
    "north": {
        "scanners": ["MAKER Model 8", OWN],
        "negatives": 40,
        "positives": 30,
        "conformal": {
            "levels": [
                {"coverage": 0.9, "negative_at_most": GROUP_HIGH, "positive_at_least": GROUP_LOW}
            ],
            "negatives": 40,
            "positives": 30,
            "from": "70 validation cases of 70 patients",
        },
        "kept_negative": [0.79, 0.97],
        "kept_positive": [0.78, 0.98],
    },
    "south": {"scanners": [FEW], "negatives": 3, "positives": 12},
}


def manifest_with_groups() -> Manifest:
    """The bundled model's manifest with the groups."""
    return parse_manifest(_raw())


def write_model_with_groups(folder: Path) -> Path:
    """Write that manifest into a folder, without any weights."""
    folder.mkdir()
    (folder / MANIFEST).write_bytes(_raw())
    return folder


def _raw() -> bytes:
    plain = json.loads((BUNDLED / MANIFEST).read_bytes())
    return json.dumps({**plain, "scanner_groups": SCANNER_GROUPS}).encode()
