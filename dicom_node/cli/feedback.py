"""The command `feedback`: what readers answered to results, as a list or as cases."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import UsageError

if TYPE_CHECKING:
    from dicom_node.resources import Resources
    from storage.results.answers import AnswerLine

app = typer.Typer(invoke_without_command=True)


@app.callback()
def feedback(
    context: typer.Context,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a case list, a row for each result.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Copy the images of its series into this folder, empty or new."),
    ] = None,
    labelled: Annotated[
        bool,
        typer.Option("--labelled", help="Leave results without a label out of the case list."),
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Show what readers answered to results, or write it as a case list for `train`."""
    from dicom_node import logs
    from dicom_node.assembly.resources import audit_of, existing_resources
    from dicom_node.identity_key import existing_key
    from dicom_node.maintenance.feedback_cases import case_rows
    from storage.results.answers import answers_to, assessed_results

    if context.invoked_subcommand is not None:
        return
    if (images or labelled) and not csv:
        raise UsageError("expected --csv FILE with --images FOLDER, and with --labelled")
    settings = load(config)
    logs.configure(level=settings.log.level, style=settings.log.format)
    with closing(existing_resources(settings)) as resources:
        with resources.sessions.reading() as session:
            answers = answers_to(session)
            results = assessed_results(session, {answer.result_key for answer in answers})
        if csv is None and as_json:
            typer.echo(json_text(answers))
            return
        if csv is None:
            for answer in answers:
                typer.echo(_line(answer))
            return
        key, folders = existing_key(settings.storage.folder), dict[str, Path]()
        if images:
            from dataclasses import replace

            listed = _chosen(case_rows(answers, results, {}, key), labelled=labelled)
            exported = sorted({row["series"] for row in listed})
            with closing(audit_of(settings)) as audit:
                folders = _copy(replace(resources, audit=audit), exported, images)
        rows = _chosen(case_rows(answers, results, folders, key), labelled=labelled)
        _write(csv, rows, images)
    words = f"{len(rows)} row{'' if len(rows) == 1 else 's'} in {csv}"
    print_outcome({"file": csv, "rows": len(rows)}, words, as_json=as_json)


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV in UTF-8.")],
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Pass over lines about nothing that is here.")
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Import final diagnoses (accession or UID, diagnosis, date) from CSV: all or nothing."""
    from datetime import UTC, datetime

    from dicom_node.assembly.resources import existing_resources
    from dicom_node.identity_key import existing_key
    from dicom_node.maintenance.diagnoses import import_diagnoses
    from pipeline.feedback.diagnosis import MAXIMUM_BYTES

    settings = load(config)
    with file.open("rb") as stream:
        content = stream.read(MAXIMUM_BYTES + 1)
    key, now = existing_key(settings.storage.folder), datetime.now(UTC)
    with closing(existing_resources(settings)) as resources, resources.sessions.begin() as session:
        outcome = import_diagnoses(session, key, content, now, skip_unknown=skip_unknown)
    print_outcome(asdict(outcome), str(outcome), as_json=as_json)


def _chosen(rows: Sequence[dict[str, str]], *, labelled: bool) -> Sequence[dict[str, str]]:
    """Leave out what has no label, if that is asked for: a row about a finding never has one."""
    return [row for row in rows if row.get("label")] if labelled else rows


def _copy(resources: Resources, uids: Sequence[str], folder: Path) -> dict[str, Path]:
    """Copy instances and results of series; return where their images are."""
    from dicom_node.maintenance.stored_data import export

    export(resources, uids, folder)
    places = {
        uid: folder / f"{number:04d}" / "received" for number, uid in enumerate(uids, start=1)
    }
    return {uid: place.resolve() for uid, place in places.items() if any(place.iterdir())}


def _write(csv: Path, rows: Sequence[dict[str, str]], images: Path | None) -> None:
    """Write the case list; if that cannot be, nothing is left of the images either."""
    from dicom_node.maintenance.feedback_cases import write_rows

    try:
        write_rows(csv, rows)
    except OSError:
        if images:
            shutil.rmtree(images)  # it was empty, or new
        raise


def _line(answer: AnswerLine) -> str:
    """Say an answer in a line; what does not stand any more is marked."""
    from dicom_node.cli.views.status import answer_words

    who = " ".join(filter(None, (answer.observer, f"({answer.role})" if answer.role else "")))
    words = (
        f"{answer.said_at.astimezone():%Y-%m-%d %H:%M}  {answer.series_instance_uid}",
        answer_words(answer, None),
        f"by {who or 'somebody'}{f' through {answer.calling_ae}' if answer.calling_ae else ''}",
        answer.comment,
        "superseded" if answer.superseded else "",
    )
    line = "; ".join(filter(None, words))
    return "".join(char if char.isprintable() else "?" for char in line)
