"""UIDs of the series of the self-test, which prove that this installation has drawn them.

A UID of a self-test is a UUID of version 8 (RFC 9562 5.8) under ``2.25`` (PS3.5 B.2): half of it is
drawn at random, the other half is a keyed digest of that. Whoever does not have the key of the
installation can make none, however much a series of his looks like ours.
"""

from __future__ import annotations

import hmac
import secrets
import uuid

from storage.files.identity_key import IdentityKey

ROOT = "2.25."
HALF = 7  #: bytes of each half
VERSION, VARIANT = 0x80, 0x80  #: RFC 9562 4.1, 4.2; the bits beside them are 0


def draw_self_test_uid(key: IdentityKey) -> str:
    """Draw a UID.

    Raises
    ------
    StorageError
        If there is no key.
    """
    drawn = secrets.token_bytes(HALF)
    return _uid(drawn, key.mark_of(drawn)[:HALF])


def is_of_self_test(key: IdentityKey, uid: str) -> bool:
    """Tell whether a UID was drawn by this installation, for a self-test."""
    number = uid.removeprefix(ROOT)
    if number == uid or not number.isdecimal() or len(number) > 39 or not key.secret:
        return False
    value = int(number)
    if value >= 1 << 128:
        return False
    raw = uuid.UUID(int=value).bytes
    if raw[6] != VERSION or raw[8] != VARIANT:
        return False
    drawn, mark = raw[:6] + raw[7:8], raw[9:]
    return hmac.compare_digest(mark, key.mark_of(drawn)[:HALF])


def _uid(drawn: bytes, mark: bytes) -> str:
    raw = bytes((*drawn[:6], VERSION, drawn[6], VARIANT, *mark))
    return f"{ROOT}{uuid.UUID(bytes=raw).int}"
