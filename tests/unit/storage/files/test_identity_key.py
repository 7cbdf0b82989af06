"""The key of the digests of identity: a file that survives, a value that gives nothing away."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.files.folder import StorageFolder
from storage.files.identity_key import (
    IDENTITY_KEY,
    KEY_BYTES,
    NO_KEY,
    IdentityKey,
    draw_identity_key,
    plain_digest,
    read_identity_key,
)

KEY = IdentityKey(b"k" * KEY_BYTES)


def test_it_is_drawn_into_a_file_of_the_node_alone(tmp_path: Path) -> None:
    StorageFolder(tmp_path, 0)
    assert read_identity_key(tmp_path) is None
    drawn = draw_identity_key(tmp_path)
    assert read_identity_key(tmp_path) == drawn
    assert len(drawn.secret) == KEY_BYTES
    assert (tmp_path / IDENTITY_KEY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\xff" * 32, b"0" * 63, b"0" * 66, b"G" * 64])
def test_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / IDENTITY_KEY).write_bytes(content)
    with pytest.raises(StorageError, match="identity-key: expected the identity key, 64 hex"):
        read_identity_key(tmp_path)


def test_a_digest_is_that_of_the_plain_one_under_the_key() -> None:
    """So rows that have the plain one can be keyed without the text."""
    plain = hashlib.sha256(b"4711").hexdigest()
    expected = hmac.new(b"k" * KEY_BYTES, plain.encode(), "sha256").hexdigest()
    assert plain_digest("4711") == plain
    assert KEY.keyed(plain) == KEY.digest("4711") == expected
    assert (KEY.digest(""), KEY.keyed(""), plain_digest("")) == ("", "", "")


def test_two_installations_have_nothing_in_common(tmp_path: Path) -> None:
    StorageFolder(tmp_path, 0)
    one, other = draw_identity_key(tmp_path), draw_identity_key(tmp_path)
    assert one.digest("4711") != other.digest("4711")
    assert one.fingerprint != other.fingerprint


def test_a_key_is_not_shown() -> None:
    assert "6b" not in repr(KEY)
    assert "kk" not in repr(KEY)


def test_without_a_key_only_nothing_has_a_digest() -> None:
    assert (NO_KEY.digest(""), NO_KEY.keyed("")) == ("", "")
    for make in (NO_KEY.digest, NO_KEY.keyed):
        with pytest.raises(StorageError, match="expected the identity key"):
            make("4711")
