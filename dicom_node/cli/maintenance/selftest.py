"""The command `selftest`: have the running node test itself, and wait for what comes of it."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import INI, AsJson, Ini, err, out
from dicom_node.cli.settings import os_user

if TYPE_CHECKING:
    from storage.results.self_tests import SelfTestRun

NONE_YET = "no self-test has ended yet: dicom-node selftest runs one"

app = typer.Typer()


@app.command()
def selftest(
    latest: Annotated[
        bool, typer.Option("--latest", help="Tell of the latest one instead; begin none.")
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Send a synthetic chest CT through the running node, and judge score and volumes.

    It takes the whole way but that nothing is delivered, and is removed at its end.
    """
    settings = load(config)
    run = latest_run(settings) if latest else run_now(settings)
    if as_json:
        typer.echo(json.dumps(told(run), indent=2))
    elif run is None:
        err.print(NONE_YET)
    else:
        show(run)
    raise typer.Exit(0 if run is not None and run.state == "passed" else 1)


def latest_run(settings: Settings) -> SelfTestRun | None:
    """Read the latest run that has passed or failed; None if there is none."""
    from dicom_node.assembly.resources import existing_resources
    from storage.results.self_tests import latest_self_tests

    with (
        closing(existing_resources(settings)) as resources,
        resources.sessions.reading() as session,
    ):
        runs = latest_self_tests(session, 1)
    return runs[0] if runs else None


def run_now(settings: Settings) -> SelfTestRun:
    """Have the running node test itself.

    Raises
    ------
    NodeError
        As :func:`dicom_node.self_test.request.self_test_now`.
    """
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.self_test.request import self_test_now

    with closing(existing_resources(settings)) as resources:
        within = timedelta(minutes=settings.selftest.within_minutes)
        return self_test_now(resources, os_user(), within)


def told(run: SelfTestRun | None) -> dict[str, Any]:
    """Give a run as JSON."""
    if run is None:
        return {"passed": None, "reason": NONE_YET}
    found = json.loads(run.found) if run.found else None
    return {
        "passed": run.state == "passed",
        "reason": run.reason,
        "requested_by": run.requested_by,
        "began_at": run.began_at and run.began_at.isoformat(),
        "ended_at": run.ended_at and run.ended_at.isoformat(),
        "series_instance_uid": run.series_instance_uid,
        "model": run.model,
        "verdict": json.loads(run.verdict) if run.verdict else None,
        "seconds": found and found["seconds"],
        "device": found and found["provenance"]["device"],
    }


def show(run: SelfTestRun) -> None:
    """Print a run."""
    verdict = json.loads(run.verdict) if run.verdict else None
    if verdict is not None:
        known = verdict["expected"]["figures"] or {}
        for name, value in verdict["figures"].items():
            wanted = f" (expected {known[name]:.4g})" if known else ""
            out.print(f"{name.replace('_', ' ')}: {value:.4g}{wanted}")
        out.print(f"compared with {escape(verdict['expected']['source'])}")
    if run.state == "passed":
        out.print(f"self-test passed at {run.ended_at:%Y-%m-%d %H:%M:%S} UTC, {escape(run.model)}")
    else:
        err.print(f"[bold red]self-test failed:[/] {escape(run.reason)}")
