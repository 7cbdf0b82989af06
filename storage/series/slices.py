"""Know of each instance of a series where its slice lies, and how many images were announced."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFacts:
    """What the header of an instance says of its slice; None or empty where it says nothing.

    Attributes
    ----------
    acquisition_number, instance_number
        (0020,0012) and (0020,0013).
    images_in_acquisition
        (0020,1002): how many images resulted from the acquisition.
    frames
        Number of Frames (0028,0008) of a multi-frame instance.
    plane
        Equal for slices that are parallel and have the same pixels.
    height_mm
        Position along the normal of the slice, towards the head.
    """

    acquisition_number: int | None = None
    images_in_acquisition: int | None = None
    instance_number: int | None = None
    frames: int | None = None
    plane: str = ""
    height_mm: float | None = None


NOTHING_KNOWN = SliceFacts()  #: of a header that says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSlice:
    """An instance in use that is kept.

    Attributes
    ----------
    path
        Relative to the storage folder.
    digest
        SHA-256 of the file without its Part 10 header.
    """

    sop_instance_uid: str
    path: str
    facts: SliceFacts
    digest: str = ""


def held_slices(session: Session, series_instance_uid: str) -> tuple[HeldSlice, ...]:
    """List the instances in use of a series that are kept, in the order of the UIDs."""
    row = Instance
    columns = (row.acquisition_number, row.images_in_acquisition, row.instance_number)
    rows = session.execute(
        select(
            row.sop_instance_uid,
            row.path,
            row.digest,
            *columns,
            row.frames,
            row.plane,
            row.height_mm,
        )
        .where(
            row.series_instance_uid == series_instance_uid,
            ~row.superseded,
            row.purged_at.is_(None),
        )
        .order_by(row.sop_instance_uid)
    )
    return tuple(
        HeldSlice(
            sop_instance_uid=uid,
            path=path,
            digest=digest,
            facts=SliceFacts(
                acquisition_number=acquisition,
                images_in_acquisition=announced,
                instance_number=number,
                frames=frames,
                plane=plane,
                height_mm=height,
            ),
        )
        for uid, path, digest, acquisition, announced, number, frames, plane, height in rows
    )
