"""Write into a model folder how far its score may be trusted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.atomic_write import write_whole
from pipeline.evaluation.calibration.trust import Trust
from pipeline.model.feature_reference import to_bytes
from pipeline.model.loading import read_manifest
from pipeline.model.manifest import MANIFEST, Manifest, ReferenceEntry, parse_manifest


def write_trust(folder: Path, trust: Trust) -> Manifest:
    """Enter prediction sets and reference into ``manifest.json``; write the reference's file.

    The reference has its digest in its name, so that the old manifest and the new one both
    find their own, whenever the writing breaks off.

    Raises
    ------
    ModelError
        If the folder has no manifest as expected.
    """
    old = read_manifest(folder).reference
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
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    for name, value in (("conformal", trust.conformal), ("reference", entry)):
        manifest[name] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    parsed = parse_manifest(raw)
    write_whole(folder / entry.file, data)
    write_whole(folder / MANIFEST, raw)
    if old is not None and old.file != entry.file:
        (folder / old.file).unlink(missing_ok=True)
    return parsed
