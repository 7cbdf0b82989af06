"""The command `workitems`: what the node performs for a worklist manager."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, out
from dicom_node.cli.views.json_text import json_text

app = typer.Typer()


@app.command()
def workitems(
    ended: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many that have ended are shown.")
    ] = 20,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """List the work items (section [worklist]) that this node has claimed, and the latest ended."""
    from dicom_node.assembly.resources import existing_resources
    from storage.delivery.work_items import latest_work_items

    with closing(existing_resources(load(config))) as node, node.sessions.reading() as session:
        items = latest_work_items(session, ended)
        now = node.clock()
    if as_json:
        lines = [
            {
                "sop_instance_uid": item.sop_instance_uid,
                "state": item.state,
                "claimed_at": item.claimed_at,
                "since": item.since,
                "progress_percent": max(item.told, 0),
                "attempts": item.attempts,
                "cancel_requested_at": item.cancel_requested_at,
                "discontinuation_code": item.code,
                "reason": item.reason,
                "series": [
                    {
                        "study_instance_uid": one.study_instance_uid,
                        "series_instance_uid": one.series_instance_uid,
                        "instances": len(one.named),
                    }
                    for one in item.inputs
                ],
            }
            for item in items
        ]
        typer.echo(json_text(lines))
        return
    if not items:
        out.print("no work item was claimed in the latest 30 days.")
        return
    table = Table("work item", "state", "since", "age", "told", "series", "reason")
    for item in items:
        table.add_row(
            escape(item.sop_instance_uid),
            item.state.value,
            f"{item.since.astimezone():%Y-%m-%d %H:%M}",
            _age(item.claimed_at, now),
            f"{max(item.told, 0)} %",
            str(len(item.inputs)),
            escape(item.reason),
        )
    out.print(table)


def _age(since: datetime, now: datetime) -> str:
    """Write how long ago something was, in hours and minutes."""
    minutes = max(int((now - since).total_seconds() // 60), 0)
    return f"{minutes // 60}:{minutes % 60:02}"
