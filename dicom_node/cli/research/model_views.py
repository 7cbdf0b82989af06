"""What `dicom-node model show` prints: a model card for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dicom_node.analysis.configuration import read_manifest
from pipeline.errors import ModelError
from pipeline.model.manifest import (
    BUNDLED,
    MANIFEST,
    Conformal,
    Manifest,
    MeasuredShare,
    ReferenceEntry,
)

RESEARCH = "For research use only; its score is the output of a model, not a diagnosis."


def card(manifest: Manifest, sha256: str) -> RenderableType:
    """Lay out a model card: what, trained on, figures, operating points, limits, not for."""
    said = manifest.card
    parts: list[RenderableType] = [
        Panel(Text(f"{said.intended_use}\n{RESEARCH}"), title=_title(manifest), expand=False),
        _section("Networks", _networks(manifest)),
        _section("Trained on", _list(said.trained_on)),
        _section("Figures", _tree(said.metrics)),
        _section("Operating points", _points(manifest)),
        _section("Prediction sets", _sets(manifest.conformal)),
        _section("Cases of its kind", _reference(manifest.reference)),
        _section("Limits", _list(said.limits)),
        _section("Not for", _list(said.not_for)),
        _section("Made again by", Text(said.reproduce)),
        Text(f"\nSHA-256 of the manifest: {sha256}", style="dim"),
    ]
    return Group(*parts)


def _title(manifest: Manifest) -> str:
    return f"[bold]{escape(manifest.name)}[/] {escape(manifest.version)}, {manifest.created}"


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold cyan"), Padding(content, (0, 0, 0, 2)))


def _list(lines: Iterable[str]) -> RenderableType:
    """Lines behind dots, indented where they wrap."""
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row("•", Text(line))
    return grid


def _networks(manifest: Manifest) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    lungs, classifier = manifest.networks.lungs, manifest.networks.classifier
    low, high = lungs.input.window_hu
    grid.add_row(
        "lungs",
        f"{lungs.architecture}, {lungs.parameters:,} parameters",
        f"slices of {lungs.input.size} x {lungs.input.size}, {low:g} to {high:g} HU",
    )
    seen = classifier.input
    low, high = seen.window_hu
    grid.add_row(
        "classifier",
        f"{classifier.architecture}, {classifier.parameters:,} parameters",
        f"{seen.rows} x {seen.columns}, planes {seen.slice_mm:g} mm apart, margin"
        f" {seen.margin_mm:g} mm, {low:g} to {high:g} HU",
    )
    return grid


def _points(manifest: Manifest) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name, point in manifest.operating_points.items():
        grid.add_row(Text(name), f"{point.threshold:.4f}", Text(point.source))
    grid.add_row("temperature", f"{manifest.calibration.temperature:.4f}", "logits over it")
    return grid


def _sets(conformal: Conformal | None) -> RenderableType:
    """Promised and measured coverage; a score may be in both sets, or in none."""
    if conformal is None:
        return Text("none: `dicom-node calibrate --cases` has not been run")
    grid = Table.grid(padding=(0, 2))
    grid.add_row("promised", "negative up to", "positive from", "kept, negative", "kept, positive")
    for level in conformal.levels:
        grid.add_row(
            f"{level.coverage:.0%}",
            f"{level.negative_at_most:.4f}",
            f"{level.positive_at_least:.4f}",
            _share(level.measured_negative),
            _share(level.measured_positive),
        )
    return Group(grid, Text(f"chosen on {conformal.source}"))


def _reference(reference: ReferenceEntry | None) -> RenderableType:
    """How cases that are unlike the model's own are known."""
    if reference is None:
        return Text("not described: nothing is flagged as unlike the training's kind")
    return Text(
        f"features of {reference.source}; flagged as unlike them beyond a distance of"
        f" {reference.limit:.1f}, which {reference.quantile:.0%} of such cases stay within;"
        f" of other such cases flagged: {_share(reference.flagged)}"
    )


def _share(share: MeasuredShare | None) -> str:
    if share is None:
        return "not measured"
    value = share.count / share.cases
    return f"{value:.3f} ({share.low:.3f} to {share.high:.3f}; {share.count}/{share.cases})"


def _tree(values: Mapping[str, JsonValue]) -> RenderableType:
    """Figures beside their names; groups of figures under a heading, indented."""
    single = Table.grid(padding=(0, 2))
    groups: list[RenderableType] = []
    for name, value in values.items():
        if isinstance(value, dict):
            groups += [Text(_words(name), style="bold"), Padding(_tree(value), (0, 0, 0, 2))]
        else:
            single.add_row(Text(_words(name)), Text(_figure(value)))
    return Group(single, *groups)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: JsonValue) -> str:
    """Write a figure, or several with commas."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
