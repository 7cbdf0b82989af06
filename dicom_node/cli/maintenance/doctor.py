"""The commands `doctor` and `conformance`: check stored data and documents against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from config.whole_file import write_file
from dicom_node.cli.options import INI, AsJson, Ini, bar, err
from dicom_node.cli.views.json_text import json_text
from storage.files.disk import naming

if TYPE_CHECKING:
    from dicom_node.resources import Resources
    from storage.maintenance.consistency import Finding

app = typer.Typer()


@app.command()
def doctor(
    mend: Annotated[
        bool, typer.Option("--mend", help="Do what is safe; the node must be stopped.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Mend however much disagrees, in whatever folder.")
    ] = False,
    contents: Annotated[
        bool, typer.Option("--contents", help="Read every file, and compare its bytes as well.")
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Compare files, rows and deliveries; say what disagrees, and what can be done."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.database_lease import holding
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance.consistency import REMEDIES, find, repair

    settings = load(config)
    resources = existing_resources(settings, any_folder=force)
    if mend:
        with only_node(settings.storage.folder), holding(resources, adopt=force):
            repair(resources, force=force)
    findings = find(resources)
    if contents:
        findings += _changed(resources, to_stderr=as_json)
    if as_json:
        lines = [
            {
                "kind": finding.kind,
                "what": finding.what,
                "detail": finding.detail,
                "remedy": REMEDIES[finding.kind],
            }
            for finding in findings
        ]
        typer.echo(json_text(lines))
        raise typer.Exit(1 if findings else 0)
    for finding in findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        typer.echo(f"{finding.kind}: {finding.what}{detail}: {REMEDIES[finding.kind]}")
    if not findings:
        typer.echo("Files, rows and deliveries agree.")
    raise typer.Exit(1 if findings else 0)


def _changed(resources: Resources, *, to_stderr: bool) -> list[Finding]:
    """Compare the bytes of every file with its digest, and say how many there were."""
    from dicom_node.maintenance.contents import Compared, compare_contents
    from storage.maintenance.consistency import Kind, totals

    compared = Compared()
    with resources.sessions.reading() as session:
        rows = totals(session, resources.folder)
    total = rows[Kind.INSTANCES_MISSING] + rows[Kind.RESULT_UNKNOWN]
    with bar(err) as progress:
        task = progress.add_task("reading", total=total)
        findings = list(compare_contents(resources, compared, lambda: progress.advance(task)))
    left_out = f"; {compared.without_digests} results of versions that kept no digests were not"
    words = f"{compared.files} files compared{left_out if compared.without_digests else ''}."
    typer.echo(words, err=to_stderr)
    return findings


@app.command()
def conformance(
    document: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A document in Markdown.")
    ],
) -> None:
    """Bring the marked parts of a document, such as the conformance statement, up to date."""
    from dicom_node.maintenance.conformance_statement import fill

    content = fill(document.read_text(encoding="utf-8")).encode()
    beside = document.with_name(f".{document.name}.part")
    with naming(document, beside):
        try:
            write_file(beside, content, like=document.stat())
            beside.replace(document)
        finally:
            beside.unlink(missing_ok=True)
