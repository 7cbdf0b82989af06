"""The command `probe`: list the SOP classes that a destination accepts, and the substitutes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from config.destinations import Destination
from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import INI, AsJson, DestinationName, Ini, out
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from storage.delivery.capabilities import Capability

app = typer.Typer()


@app.command()
def probe(
    name: DestinationName,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Ask a destination which kinds of result it takes; nothing is sent.

    The answer is kept once there is a database: the node, at its start, asks by itself.
    """
    from dicom_node.assembly.delivery import peer_of
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.delivery import capabilities
    from storage.database.engine import opened, revision_of

    settings = load(config)
    destination = named(settings, name)
    with opened(settings.database_url) as database:
        is_there = revision_of(database) is not None
    resources = existing_resources(settings) if is_there else None
    peer = peer_of(settings, destination)
    answers = capabilities.probe(
        peer,
        calling_ae=settings.node.ae_title,
        compressed=getattr(destination, "compressed", "") != "no",
    )
    if resources is not None:
        with closing(resources):
            capabilities.record_probe(name, answers, resources)
    if as_json:
        typer.echo(json_text(answers))
        return
    out.print(table(answers))
    out.print("What it takes its viewers need not show: docs/viewers.md says which shows what.")


def named(settings: Settings, name: str) -> Destination:
    """Find a destination.

    Raises
    ------
    NodeError
        If there is none of that name.
    """
    for destination in settings.destinations:
        if destination.name == name:
            return destination
    known = ", ".join(destination.name for destination in settings.destinations) or "none"
    raise NodeError(f"expected the name of a destination ({known}), got {name}")


def table(found: tuple[Capability, ...]) -> Table:
    """Table of the SOP classes: use, whether accepted, and what is sent instead."""
    from pydicom.uid import UID

    from dicom_node.delivery.capabilities import instead
    from dicom_node.delivery.result_classes import RESULT_CLASSES, class_name

    accepted = {capability.sop_class_uid for capability in found if capability.is_accepted}
    rows = Table("SOP class", "used for", "taken", "instead")
    for capability in found:
        sop_class, taken = capability.sop_class_uid, capability.is_accepted
        kinds = [sent.kind for sent in RESULT_CLASSES if sent.sop_class == sop_class]
        others = dict.fromkeys(instead(kind, sop_class, accepted) for kind in kinds)
        rows.add_row(
            class_name(sop_class),
            ", ".join(dict.fromkeys(kind.replace("-", " ") for kind in kinds)) or "service",
            UID(capability.transfer_syntax_uid).name if taken else "[bold red]no[/]",
            "" if taken or not kinds else "; ".join(others),
        )
    return rows
