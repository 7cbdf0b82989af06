"""The commands `certificates` and `scheduler`: an engine on several machines."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from config.reader import load
from config.value_types import HOST
from dicom_node.cli.options import INI, AsJson, Ini
from dicom_node.cli.views.json_text import print_outcome
from dicom_node.errors import NodeError, UsageError

app = typer.Typer()

IPV6 = 6
DAYS = 365  #: for which a host's certificate is valid if nothing is said


@app.command()
def certificates(
    folder: Annotated[Path, typer.Argument(help="Where they are kept, with the authority's key.")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address by which the others reach a machine; once for each."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are valid.")] = DAYS,
    as_json: AsJson = False,
) -> None:
    """Make the certificates of an engine, and renew those that end within 30 days."""
    from dicom_node.maintenance.certificates import provide

    provided = provide(folder, host or [], datetime.now(UTC), days=days)
    lines = [
        f"{'made' if one.is_new else 'kept'}  {one.file}  until {one.until:%Y-%m-%d}"
        for one in provided
    ]
    print_outcome({"certificates": provided}, *lines, as_json=as_json)


@app.command()
def scheduler(
    config: Ini = INI,
    bind: Annotated[str, typer.Option(help="Address of this machine to listen on.")] = "0.0.0.0",  # noqa: S104  # for the other machines, by TLS with certificates of one authority
) -> None:
    """Hand out analyses among workers elsewhere, until SIGTERM or Ctrl-C."""
    from dicom_node import logs
    from dicom_node.analysis.engine.connection import EMBEDDED
    from dicom_node.analysis.engine.fleet_scheduler import run_scheduler
    from dicom_node.assembly.engine import engine_address_of

    host = host_of(bind)
    settings = load(config)
    logs.configure_service(settings.log)
    address = engine_address_of(settings)
    if address.scheduler == EMBEDDED:
        raise NodeError("[engine] scheduler: expected tls://host:port, got 'embedded'")
    run_scheduler(address, bind=host)


def host_of(bind: str) -> str:
    """Read an address, or a name, that is to be listened on; one of IPv6 gets brackets.

    Raises
    ------
    UsageError
        If it is none, or has a port: that is the one of ``[engine] scheduler``.
    """
    text = bind.removeprefix("[").removesuffix("]")
    try:
        return f"[{text}]" if ipaddress.ip_address(text).version == IPV6 else text
    except ValueError:
        if re.fullmatch(HOST, bind):
            return bind
    raise UsageError(f"--bind: expected an address or a name without a port, got {bind!r}")
