"""Commands for model folders: import, verify, show, list."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

import typer
from rich.console import Console

from dicom_node.cli.options import BUNDLED_NAME, AsJson, folder_of
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import UsageError
from storage.files.disk import filled

app = typer.Typer(no_args_is_help=True, help="Look at, check and import model folders.")
out = Console()

OF_A_PIPE = (160, 24)  #: columns and lines, where there is no window
Model = Annotated[
    str, typer.Argument(metavar="FOLDER", help=f"A model folder, or '{BUNDLED_NAME}'.")
]


class UnetStatistics(StrEnum):
    """What the norms of the imported UNet go by."""

    slice = "slice"
    running = "running"


@app.command("import")
def import_(
    to: Annotated[Path, typer.Option("--out", help="The model folder to make; new or empty.")],
    unet: Annotated[Path | None, typer.Option(help="The authors' checkpoint of the UNet.")] = None,
    decovnet: Annotated[
        Path | None, typer.Option(help="The authors' checkpoint of the classifier.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="With one checkpoint only: the model folder (or 'bundled') that gives the other"
            " network.",
        ),
    ] = None,
    unet_statistics: Annotated[
        UnetStatistics,
        typer.Option(
            help="Norms of the UNet: by each slice, as its authors ran their test, or by the"
            " running statistics of its training, as they validated it."
        ),
    ] = UnetStatistics.slice,
    as_json: AsJson = False,
) -> None:
    """Make a model folder of the checkpoints that the authors of DeCoVNet published.

    Nothing in the files is executed. Their licence is CC BY-NC-SA 4.0.
    """
    if (unet, decovnet, base).count(None) != 1:
        raise UsageError("expected two of --unet, --decovnet and --base")
    from pipeline.model.import_published import import_checkpoints

    with filled(to):
        manifest = import_checkpoints(
            to,
            unet=unet,
            decovnet=decovnet,
            base=folder_of(base) if base else None,
            statistics=unet_statistics.value,
        )
    print_outcome(
        {"folder": to, "name": manifest.name, "version": manifest.version},
        f"{to}: imported as {manifest.name} {manifest.version}.",
        "What is known of it, and what is not, stands in its card:",
        f"    dicom-node model show {to}",
        as_json=as_json,
    )


@app.command()
def verify(model: Model, as_json: AsJson = False) -> None:
    """Check digests, tensors and counts of a model, and let its networks compute."""
    from pipeline.model.verify import verify as verified

    parts = list(verified(folder_of(model)))
    if as_json:
        typer.echo(json_text(parts))
        return
    for found in parts:
        out.print(
            f"[green]in order[/]  {found.part}: {found.file}, {found.architecture},"
            f" {found.tensors} tensors, {found.parameters:,} parameters; digest as promised,"
            " answers finite",
            soft_wrap=True,
            highlight=False,
        )


@app.command()
def show(model: Model = BUNDLED_NAME, as_json: AsJson = False) -> None:
    """Show the card of a model: what it is, what it was made of, what it is not for."""
    from dicom_node.cli.research.model_views import card
    from pipeline.model.errata import read_errata
    from pipeline.model.manifest import read_manifest

    folder = folder_of(model)
    manifest, sha256 = read_manifest(folder)
    if as_json:
        told = {"sha256": sha256, "errata": [one.model_dump() for one in read_errata(folder)]}
        typer.echo(json_text({**told, "manifest": manifest.model_dump(mode="json")}))
        return
    out.print(card(manifest, sha256, read_errata(folder)))


@app.command("list")
def list_(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, file_okay=False, help="Model folders, or folders of them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the model that comes with the package, and those in the folders given."""
    from dicom_node.cli.research.model_views import entry, models_in, table
    from pipeline.model.manifest import BUNDLED

    found = [BUNDLED, *models_in(folders or [])]
    if as_json:
        typer.echo(json_text([entry(folder) for folder in found]))
        return
    width, height = get_terminal_size(OF_A_PIPE)
    Console(width=width, height=height).print(table(found))
