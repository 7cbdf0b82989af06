"""Hash and check passwords with Argon2id (RFC 9106)."""

from __future__ import annotations

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dicom_node.errors import Busy, NodeError

SHORTEST, LONGEST = 12, 256  #: characters; NIST SP 800-63B-4 asks for at least 8, 15 without more
HASHER = PasswordHasher()  #: argon2-cffi's defaults are RFC 9106's for little memory
AT_A_TIME = 2  #: passwords that are checked: each takes 64 MiB
WAIT_SECONDS = 5.0  #: longest wait for one's turn
_turns = threading.BoundedSemaphore(AT_A_TIME)
ABSENT = HASHER.hash("a user who is not there")  #: checked so that an unknown name takes as long


def hashed(password: str) -> str:
    """Hash a new password.

    Raises
    ------
    NodeError
        If it is too short or too long.
    """
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise NodeError(
            f"expected a password of {SHORTEST} to {LONGEST} characters, got {len(text)}"
        )
    return HASHER.hash(text)


def is_password(password: str, known: str | None) -> bool:
    """Check a password; without a known hash it takes as long, and is wrong.

    Raises
    ------
    Busy
        If too many others are being checked.
    """
    text = _normal(password[: LONGEST + 1])
    if not _turns.acquire(timeout=WAIT_SECONDS):
        raise Busy("too many people log in at this moment: try again")
    try:
        return HASHER.verify(known or ABSENT, text) and known is not None
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _turns.release()


def _normal(password: str) -> str:
    """Normalise as RFC 8265 does: the same password from every keyboard."""
    return unicodedata.normalize("NFC", password)
