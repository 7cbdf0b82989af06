"""The command `notify`: say who is told of what, and send each a test message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini
from dicom_node.errors import NodeError

app = typer.Typer()


@app.command()
def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send each a test message, and say who took it.")
    ] = False,
    config: Ini = INI,
) -> None:
    """Say who is told of what (section [notify]); with --test send everyone a message."""
    from dicom_node.notify.apprise_sender import check_url, send_message
    from dicom_node.notify.recipients import read_recipients

    settings = load(config)
    if settings.notify.recipients_file is None:
        raise NodeError("[notify] recipients_file: expected a file, got none: nobody is told")
    failed = 0
    for recipient in read_recipients(settings.notify.recipients_file):
        title = f"dicom-node {settings.node.ae_title}: test message"
        body = (
            f"A test, sent at {datetime.now().astimezone():%Y-%m-%d %H:%M}."
            f" You are told of: {', '.join(sorted(recipient.subjects))}."
        )
        told = ", ".join(sorted(recipient.subjects))
        try:
            if test:
                send_message(recipient.url, title, body)
            else:
                check_url(recipient.url)
        except NodeError as fault:
            failed += 1
            typer.echo(f"{recipient.name}: {told}: {fault}")
        else:
            typer.echo(f"{recipient.name}: {told}{' took the message' if test else ''}")
    if failed:
        raise typer.Exit(1)
