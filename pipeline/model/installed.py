"""Find a model by its digest among those installed on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED, MANIFEST


def installed_model(name: str, sha256: str, places: Iterable[Path] = ()) -> Path:
    """Find the folder of a model: in some places, or among those that come with the package.

    Parameters
    ----------
    name
        What to call it if there is none.
    sha256
        Of its manifest, which names the digests of its weights.
    places
        Model folders, or folders of such, in which to look first.

    Raises
    ------
    ModelError
        If there is none with that digest.
    """
    looked_in = [*places, BUNDLED.parent]
    for folder in _model_folders(looked_in):
        if _digest(folder) == sha256:
            return folder
    raise ModelError(
        f"expected the model {name} with SHA-256 {sha256[:12]}..., found none of that digest in"
        f" {', '.join(map(str, looked_in))}"
    )


def _model_folders(places: Iterable[Path]) -> Iterator[Path]:
    """Yield each place, and each folder in it."""
    for place in places:
        yield place
        try:
            yield from sorted(path for path in place.iterdir() if path.is_dir())
        except OSError:
            continue  # it is not there, or not ours to read: another place may have it


def _digest(folder: Path) -> str:
    """Compute the SHA-256 of a folder's manifest; empty if there is none that can be read."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""
