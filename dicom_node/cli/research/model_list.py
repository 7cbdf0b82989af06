"""What `dicom-node model list` shows: model folders, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from dicom_node.analysis.configuration import read_manifest
from pipeline.errors import ModelError
from pipeline.model.manifest import BUNDLED, MANIFEST


def models_in(folders: Iterable[Path]) -> Iterator[Path]:
    """Find the folders with a manifest: those given, and those right within them."""
    for folder in folders:
        within = sorted(path for path in folder.iterdir() if path.is_dir())
        yield from (path for path in (folder, *within) if (path / MANIFEST).is_file())


def table(folders: Sequence[Path]) -> Table:
    """Lay out models; a faulty one is shown with its fault."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "created", "lungs", "classifier", "threshold", "folder"):
        found.add_column(title, overflow="fold")
    for folder in folders:
        found.add_row(*_row(folder))
    return found


def _row(folder: Path) -> tuple[str, ...]:
    place = "bundled" if folder == BUNDLED else escape(str(folder))
    try:
        manifest, _ = read_manifest(folder)
    except ModelError as fault:
        return (f"[red]faulty[/]: {escape(str(fault))}", "", "", "", "", place)
    networks = manifest.networks
    return (
        escape(f"{manifest.name} {manifest.version}"),
        manifest.created.isoformat(),
        networks.lungs.architecture,
        networks.classifier.architecture,
        f"{manifest.operating_points['default'].threshold:.3f}",
        place,
    )
