"""Name the objects of a result whose rows were condensed into that of the first of their series.

An object whose UID is made of a UUID (2.25, PS3.5 B.2), as all of ours are, takes 16 bytes there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Result, ResultObject, Series

ROOT = "2.25."
UUID_BYTES = 16

NUMBER: ColumnElement[int] = 1 + func.coalesce(func.length(ResultObject.further), 0) // UUID_BYTES
"""How many objects a row stands for."""


def can_be_packed(uid: str) -> bool:
    """Tell whether a UID is made of a UUID, and of nothing else."""
    number = uid.removeprefix(ROOT)
    return uid.startswith(ROOT) and number.isdecimal() and int(number) < 1 << 8 * UUID_BYTES


def pack_uids(uids: Iterable[str]) -> bytes:
    """Put UIDs that are made of UUIDs one behind the other."""
    return b"".join(int(uid.removeprefix(ROOT)).to_bytes(UUID_BYTES, "big") for uid in uids)


def unpack_uids(packed: bytes | None) -> list[str]:
    """Take UIDs apart again; none if there are none."""
    starts = range(0, len(packed or b""), UUID_BYTES)
    return [
        f"{ROOT}{int.from_bytes((packed or b'')[start : start + UUID_BYTES], 'big')}"
        for start in starts
    ]


def series_of_condensed_objects(
    session: Session, study_instance_uid: str, uids: Collection[str]
) -> dict[str, str]:
    """Find the series of objects of a study in which some SOP Instance UIDs were condensed.

    Returns
    -------
    dict
        SOP Instance UID to the Series Instance UID of the objects, of those that are found.
    """
    wanted = set(uids)
    rows = session.execute(
        select(ResultObject.series_instance_uid, ResultObject.further)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Series.study_instance_uid == study_instance_uid, ResultObject.further.is_not(None))
    )
    return {
        uid: series for series, packed in rows for uid in wanted.intersection(unpack_uids(packed))
    }
