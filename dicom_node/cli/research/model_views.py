"""Lay out models for a terminal: the card of one (`model show`), a table of many (`model list`)."""

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

from dicom_node.maintenance.model_card import (
    NO_GROUPS,
    group_lines,
    reference_in_words,
    share_in_words,
)
from pipeline.decision import Bounds, bounds
from pipeline.errors import ModelError
from pipeline.model.errata import Erratum
from pipeline.model.manifest import (
    BUNDLED,
    MANIFEST,
    Conformal,
    Manifest,
    read_manifest,
)

RESEARCH = "For research use only; its score is the output of a model, not a diagnosis."
COLUMNS = ("model", "created", "lungs", "classifier", "threshold", "folder")  #: of the table


def card(manifest: Manifest, sha256: str, errata: Sequence[Erratum] = ()) -> RenderableType:
    """Lay out a model card: corrections, training, figures, operating points, limits.

    Parameters
    ----------
    sha256
        Of the manifest.
    errata
        Corrections of the card; there is a section of them if there are any.
    """
    text = manifest.card
    parts: list[RenderableType] = [
        Panel(Text(f"{text.intended_use}\n{RESEARCH}"), title=_title(manifest), expand=False),
        *_corrections(errata),
        _section("Networks", _networks(manifest)),
        _section("Trained on", _list(text.trained_on)),
        _section("Figures", _tree(text.metrics)),
        _section("Operating points", _points(manifest)),
        _section("Prediction sets", _sets(manifest.conformal)),
        _section("Bounds by scanner", _groups(manifest)),
        _section("Cases of its kind", Text(reference_in_words(manifest.reference))),
        _section("Limits", _list(text.limits)),
        _section("Not for", _list(text.not_for)),
        _section("Made again by", Text(text.reproduce)),
        Text(f"\nSHA-256 of the manifest: {sha256}", style="dim"),
    ]
    return Group(*parts)


def _title(manifest: Manifest) -> str:
    return f"[bold]{escape(manifest.name)}[/] {escape(manifest.version)}, {manifest.created}"


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold cyan"), Padding(content, (0, 0, 0, 2)))


def _corrections(errata: Sequence[Erratum]) -> Iterator[RenderableType]:
    """Section of the corrections; nothing for none."""
    if errata:
        lines = (f"{erratum.date.isoformat()}: {erratum.text}" for erratum in errata)
        yield _section("Corrections", _list(lines))


def _groups(manifest: Manifest) -> RenderableType:
    if not manifest.scanner_groups:
        return Text(NO_GROUPS)
    return _list(group_lines(manifest.scanner_groups, manifest.conformal))


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
    box = classifier.input
    low, high = box.window_hu
    grid.add_row(
        "classifier",
        f"{classifier.architecture}, {classifier.parameters:,} parameters",
        f"{box.rows} x {box.columns}, planes {box.slice_mm:g} mm apart, margin"
        f" {box.margin_mm:g} mm, {low:g} to {high:g} HU",
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
            share_in_words(level.measured_negative),
            share_in_words(level.measured_positive),
        )
    return Group(grid, Text(f"chosen on {conformal.source}"))


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
    models = Table(box=None, pad_edge=False, header_style="bold")
    for title in COLUMNS:
        models.add_column(title, overflow="fold")
    for folder in folders:
        models.add_row(*_row(folder))
    return models


def entry(folder: Path) -> dict[str, str]:
    """Give what a row of the table says, by its columns."""
    return {
        title: Text.from_markup(cell).plain
        for title, cell in zip(COLUMNS, _row(folder), strict=True)
    }


def _bounds_words(called: Bounds) -> str:
    """Write the threshold, or the indeterminate range."""
    low = "" if called.indeterminate_from is None else f"{called.indeterminate_from:.3f} to "
    return f"{low}{called.threshold:.3f}"


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
        _bounds_words(bounds(None, manifest)),
        place,
    )
