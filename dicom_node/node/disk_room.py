"""Tell whether the disk of the storage folder has room for instances."""

from __future__ import annotations

from dicom_node.assembly.resources import GIGABYTE
from dicom_node.resources import Resources

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
    reason = (
        "instances are refused (A700): expected more free space than the reserve of"
        f" {reserve / GIGABYTE:g} GB, got {(above + reserve) / GIGABYTE:.1f} GB"
    )
    resources.health.fault(PART, reason, receiving=False)
