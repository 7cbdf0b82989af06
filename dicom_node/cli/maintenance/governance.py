"""The commands `governance`: models, software, results without identity, and a pack of it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from config.reader import load
from dicom_node.cli.options import DAY, INI, AsJson, Ini, day_of, err
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import UsageError

if TYPE_CHECKING:
    from dicom_node.governance.model_inventory import Months, UsedModel

app = typer.Typer(
    no_args_is_help=True, help="For an audit: models, software, results without identity, a pack."
)

NewFile = Annotated[Path, typer.Argument(help="The file that is written; it must be new.")]


@app.command()
def models(as_json: AsJson = False, config: Ini = INI) -> None:
    """List the models that have made results: which, when, how many, with which thresholds."""
    from dicom_node.cli.maintenance.governance_parts import used_models

    found = used_models(load(config))
    if as_json:
        typer.echo(json_text(found))
        return
    for one in found:
        typer.echo("\n".join(_lines(one)))


def _lines(one: UsedModel) -> Iterator[str]:
    """Say of a model what the list is asked for, its name first."""
    begun = f"since {one.started:%Y-%m-%d}" if one.started else "from the first on that is known"
    ended = "" if one.ended is None else f", until {one.ended:%Y-%m-%d}"
    yield f"{one.model}{' (in use)' if one.in_use else ''}: {begun}{ended}"
    yield f"    manifest {one.manifest_sha256 or 'not known'}"
    if one.made is None:
        yield "    no results"
    else:
        erased = f", {one.erased} of series erased since" if one.erased else ""
        yield f"    results: {_months(one.made)}{erased}"
    for level, part in one.thresholds.items():
        yield f"    threshold {level or 'not known'}: {_months(part)}"
    if one.card is None:
        yield "    its card is not at hand"
    else:
        yield from (f"    trained on {line}" for line in one.card["card"]["trained_on"])


def _months(part: Months) -> str:
    until = "" if part.latest == part.first else f" to {part.latest}"
    return f"{part.results}, {part.first}{until}"


@app.command()
def sbom(file: NewFile, as_json: AsJson = False, config: Ini = INI) -> None:
    """Write the software bill of materials of this installation (CycloneDX 1.6, JSON)."""
    from dicom_node.analysis.configuration import model_folder
    from dicom_node.governance.sbom import sbom as bill

    bill_now = bill(model_folder(load(config)), datetime.now(UTC))
    _write(file, [bill_now], as_json=as_json)


@app.command()
def licences(file: NewFile, as_json: AsJson = False) -> None:
    """Write the licences of everything by others that is installed, one after another."""
    from dicom_node.governance.licences import licences_text

    _write(file, [licences_text()], as_json=as_json)


@app.command()
def registry(
    file: Annotated[
        Path, typer.Argument(help="The file, .csv or .json, that is written; it must be new.")
    ],
    since: Annotated[
        str | None, typer.Option(metavar=DAY, help="Results made on that day or later.")
    ] = None,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Write results without identity: study, equipment, protocol, result, agreement."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.governance.registry import FORMS
    from dicom_node.governance.result_records import records
    from dicom_node.identity_key import existing_key

    if file.suffix not in FORMS:
        raise UsageError(f"expected a file that ends with {' or '.join(FORMS)}, got {file}")
    begin = day_of(since, datetime.now().astimezone())[0] if since else None
    settings = load(config)
    key = existing_key(settings.storage.folder)
    with closing(existing_resources(settings)) as resources:
        found = records(resources.sessions, key, since=begin)
        _write(file, FORMS[file.suffix](found), as_json=as_json)


@app.command()
def pack(file: NewFile, as_json: AsJson = False, config: Ini = INI) -> None:
    """Pack everything that an audit asks for into one zip file, without patients.

    Exit status 1 if a part could not be read as a whole, or the log of decisions was changed; the
    pack says so, and has the rest.
    """
    from dicom_node.cli.maintenance.governance_parts import LogNow, about, parts_of
    from dicom_node.governance.pack import make_pack

    settings, now = load(config), datetime.now(UTC)
    log = LogNow(settings.storage.folder)
    faults = make_pack(file, parts_of(settings, config, now, log), now, about(settings))
    broken = {name: fault for name, fault in faults.items() if fault}
    if not broken.keys() & {"decisions.jsonl", "decisions-verified.json"} and log.verified.fault:
        broken["decisions.jsonl"] = log.verified.fault
    for name, fault in broken.items():
        err.print(f"[bold red]not whole:[/] {escape(name)}: {escape(fault)}")
    parts = {name: broken.get(name, "") for name in faults}
    words = f"{file}: {len(faults) - len(broken)} of {len(faults)} parts are whole"
    print_outcome({"file": file, "parts": parts}, words, as_json=as_json)
    raise typer.Exit(1 if broken else 0)


def _write(file: Path, pieces: Iterable[str], *, as_json: bool) -> None:
    """Write text into a new file, for this user alone. Raises as `new_file`."""
    from dicom_node.governance.new_file import new_file

    with new_file(file) as stream:
        for piece in pieces:
            stream.write(piece.encode())
    size = file.stat().st_size
    print_outcome({"file": file, "bytes": size}, f"{file}: {size} bytes", as_json=as_json)
