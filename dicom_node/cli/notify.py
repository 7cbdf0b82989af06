"""The command `notify`: say who is told of what, and send each a test message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from dicom_node.notify.recipients import Recipient

app = typer.Typer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who is told of what; `fault` says why that cannot be, or was not taken."""

    recipient: str
    subjects: list[str]
    fault: str


@app.command()
def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send each a test message, and say who took it.")
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Say who is told of what (section [notify]); with --test send everyone a message."""
    from dicom_node.notify.recipients import read_recipients

    settings = load(config)
    if settings.notify.recipients_file is None:
        if as_json:
            typer.echo(json_text(()))
        raise NodeError("[notify] recipients_file: expected a file, got none: nobody is told")
    told: list[Told] = []
    for recipient in read_recipients(settings.notify.recipients_file):
        told.append(_told(recipient, settings.node.ae_title, test=test))
        if not as_json:
            one = told[-1]
            outcome = f": {one.fault}" if one.fault else " took the message" if test else ""
            typer.echo(f"{one.recipient}: {', '.join(one.subjects)}{outcome}")
    if as_json:
        typer.echo(json_text(told))
    if any(one.fault for one in told):
        raise typer.Exit(1)


def _told(recipient: Recipient, ae_title: str, *, test: bool) -> Told:
    """Send a recipient a test message, or only check the address."""
    from dicom_node.notify.apprise_sender import check_url, send_message

    subjects: list[str] = sorted(recipient.subjects)
    fault = ""
    title = f"dicom-node {ae_title}: test message"
    body = (
        f"A test, sent at {datetime.now().astimezone():%Y-%m-%d %H:%M}."
        f" You are told of: {', '.join(subjects)}."
    )
    try:
        if test:
            send_message(recipient.url, title, body)
        else:
            check_url(recipient.url)
    except NodeError as trouble:
        fault = str(trouble)
    return Told(recipient=recipient.name, subjects=subjects, fault=fault)
