"""Tell whether the disk of the storage folder has room for instances."""

from __future__ import annotations

from dicom_node.resources import Resources
from storage.files.disk import no_room

PART = "disk"  #: in the condition of the node


def watch_room(resources: Resources) -> None:
    """Report whether there is free space above the reserve: without, all instances are refused."""
    folder = resources.folder
    try:
        above = folder.free_bytes()
    except OSError:
        return  # the folder is away, which is told by itself
    if above > 0:
        resources.health.well(PART)
        return
    reserve = folder.reserve_bytes
    resources.health.fault(PART, no_room(above + reserve, reserve), receiving=False)
