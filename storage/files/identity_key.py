"""Key of the installation, under which the database keeps digests of who a patient is.

A plain SHA-256 of a short number is found by trying all numbers; a keyed one (HMAC, RFC 2104) only
by whoever has the key as well. It is a file of the storage folder, and never in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from storage.errors import DamagedIdentityKey, StorageError
from storage.files.disk import sync_directory
from storage.files.folder import TEMPORARY

IDENTITY_KEY = "identity-key"  #: name of the file
KEY_BYTES = 32  #: of the secret, as long as what SHA-256 gives (RFC 2104 3)
KEY_LINE = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}\n?")
REMEMBERED = 1_024  #: texts; every instance of a series has the same four
FINGERPRINT_OF = b"fingerprint"  #: is no digest, so that no text of a patient has it for its own
TOKEN_OF = b"token "  #: likewise, before the digest of a token
MARK_OF = b"mark "  #: likewise, before what marks something as ours


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """The secret of an installation; without one, nothing but the empty text has a digest."""

    secret: bytes = field(repr=False)

    def digest(self, text: str) -> str:
        """Compute the keyed digest of a text, hexadecimal; empty for an empty text.

        Raises
        ------
        StorageError
            If there is no secret.
        """
        return _digest(self.secret, text) if text else ""

    def keyed(self, plain: str) -> str:
        """Key a digest that `plain_digest` has made: HMAC-SHA-256; empty for an empty one.

        Raises
        ------
        StorageError
            If there is no secret.
        """
        return _keyed(self.secret, plain.encode()) if plain else ""

    def digest_of_token(self, token: str) -> str:
        """Compute the digest of the token of a program, which no text of a patient has.

        Raises
        ------
        StorageError
            If there is no secret.
        """
        return _keyed(self.secret, TOKEN_OF + plain_digest(token).encode())

    def mark_of(self, drawn: bytes) -> bytes:
        """Compute 32 bytes that only the installation can make of something that it has drawn.

        Raises
        ------
        StorageError
            If there is no secret.
        """
        return bytes.fromhex(_keyed(self.secret, MARK_OF + drawn))

    @property
    def fingerprint(self) -> str:
        """Digest that tells one key from another, and gives neither away."""
        return _keyed(self.secret, FINGERPRINT_OF)


NO_KEY = IdentityKey(b"")


def plain_digest(text: str) -> str:
    """Compute the SHA-256 of a text, hexadecimal; empty for an empty text. It is not to be kept."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


@lru_cache(maxsize=REMEMBERED)
def _digest(secret: bytes, text: str) -> str:
    return _keyed(secret, plain_digest(text).encode())


def _keyed(secret: bytes, message: bytes) -> str:
    if not secret:
        raise StorageError("expected the identity key of the installation, got none")
    return hmac.digest(secret, message, "sha256").hex()


def read_identity_key(folder: Path) -> IdentityKey | None:
    """Read the key; None where there is no file.

    Raises
    ------
    StorageError
        If the file cannot be read.
    DamagedIdentityKey
        If it holds something else.
    """
    path = folder / IDENTITY_KEY
    try:
        content = path.read_bytes().decode("latin-1")
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise StorageError(f"{path}: cannot be read: {fault.strerror}") from fault
    if not KEY_LINE.fullmatch(content):
        raise DamagedIdentityKey(
            f"{path}: expected the identity key, {2 * KEY_BYTES} hexadecimal digits, got something"
            " else"
        )
    return IdentityKey(bytes.fromhex(content.strip()))


def draw_identity_key(folder: Path) -> IdentityKey:
    """Draw a key and put it into its file; on return it survives a power cut."""
    secret = secrets.token_bytes(KEY_BYTES)
    temporary = folder / TEMPORARY / uuid.uuid4().hex
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / IDENTITY_KEY)
    sync_directory(folder)
    return IdentityKey(secret)


def set_identity_key_aside(folder: Path, at: datetime) -> None:
    """Rename the file of the key, if there is one, so that another may be drawn."""
    aside = f"{IDENTITY_KEY}.before-{at:%Y%m%dT%H%M%S.%f}"
    with suppress(FileNotFoundError):
        (folder / IDENTITY_KEY).rename(folder / aside)
        sync_directory(folder)
