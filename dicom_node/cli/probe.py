"""The command `probe`: what a destination takes, and what the node does about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from config.destinations import Destination
from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import INI, Ini
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from storage.delivery.capabilities import Capability

app = typer.Typer()
out = Console(soft_wrap=True)


@app.command()
def probe(
    name: Annotated[str, typer.Argument(help="A destination of the settings.")], config: Ini = INI
) -> None:
    """Ask a destination which kinds of result it takes; nothing is sent."""
    from dicom_node.assembly import open_resources, peer_of
    from dicom_node.delivery.capabilities import probe_and_record

    settings = load(config)
    destination = named(settings, name)
    resources = open_resources(settings)
    peer = peer_of(settings, destination)
    found = probe_and_record(name, peer, calling_ae=settings.node.ae_title, resources=resources)
    out.print(table(found))


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
    known = ", ".join(each.name for each in settings.destinations) or "none"
    raise NodeError(f"expected the name of a destination ({known}), got {name}")


def table(found: tuple[Capability, ...]) -> Table:
    """One row for each class: what for, whether it is taken, and what goes instead."""
    from pydicom.uid import UID

    from dicom_node.delivery.capabilities import instead
    from dicom_node.delivery.result_classes import SENT, class_name

    accepted = {each.sop_class_uid for each in found if each.is_accepted}
    made = Table("SOP class", "used for", "taken", "instead")
    for each in found:
        kinds = [sent.kind for sent in SENT if sent.sop_class == each.sop_class_uid]
        others = dict.fromkeys(instead(kind, each.sop_class_uid, accepted) for kind in kinds)
        made.add_row(
            class_name(each.sop_class_uid),
            ", ".join(dict.fromkeys(kind.replace("-", " ") for kind in kinds)) or "service",
            UID(each.transfer_syntax_uid).name if each.is_accepted else "[bold red]no[/]",
            "" if each.is_accepted or not kinds else "; ".join(others),
        )
    return made
