"""Pack many instances into one value: of each the beginnings of two digests, one behind the other.

Within a series, 8 bytes of the digest of a UID tell instances apart (of 5,000 two are alike once in
10 to the 12), and 16 of the digest of its bytes tell whether it is the same instance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

UID_BYTES, CONTENT_BYTES = 8, 16
ENTRY_BYTES = UID_BYTES + CONTENT_BYTES

Entries = Mapping[bytes, bytes]
"""Beginning of the digest of a SOP Instance UID to that of the digest of the instance."""


def uid_part(sop_instance_uid: str) -> bytes:
    """Give the part of an entry that says which instance it is."""
    return hashlib.sha256(sop_instance_uid.encode()).digest()[:UID_BYTES]


def content_part(digest: str) -> bytes:
    """Give the part of an entry that says which bytes the instance has.

    Parameters
    ----------
    digest
        As in :class:`storage.database.schema.Instance`.
    """
    return hashlib.sha256(digest.encode()).digest()[:CONTENT_BYTES]


def entries_of(instances: Iterable[tuple[str, str]]) -> dict[bytes, bytes]:
    """Make the entries of instances, given by their SOP Instance UIDs and digests."""
    return {uid_part(uid): content_part(digest) for uid, digest in instances}


def pack(entries: Entries) -> bytes:
    """Put entries one behind the other."""
    return b"".join(uid + content for uid, content in sorted(entries.items()))


def unpack(packed: bytes) -> dict[bytes, bytes]:
    """Take entries apart again.

    Raises
    ------
    ValueError
        If the length is not that of whole entries.
    """
    if len(packed) % ENTRY_BYTES:
        raise ValueError(f"expected entries of {ENTRY_BYTES} bytes, got {len(packed)} bytes")
    starts = range(0, len(packed), ENTRY_BYTES)
    return {
        packed[start : start + UID_BYTES]: packed[start + UID_BYTES : start + ENTRY_BYTES]
        for start in starts
    }
