"""A second model: the bundled one with another temperature, and a name of its own."""

import json
import shutil
from pathlib import Path

from pipeline.model.manifest import BUNDLED, MANIFEST


def second_model(folder: Path, *, temperature: float = 3.0) -> Path:
    """Write it into a folder; its scores lie nearer to the middle."""
    shutil.copytree(BUNDLED, folder)
    (folder / "errata.json").unlink(missing_ok=True)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["name"], manifest["version"] = "second", "2"
    manifest["calibration"]["temperature"] = temperature
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder
