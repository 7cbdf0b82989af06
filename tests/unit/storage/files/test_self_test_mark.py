"""The UIDs of self-tests: ours are known, nobody else's are."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import StorageError
from storage.files.identity_key import NO_KEY, IdentityKey
from storage.files.self_test_mark import draw_self_test_uid, is_of_self_test

KEY, OTHER = IdentityKey(b"k" * 32), IdentityKey(b"o" * 32)


def test_a_drawn_uid_is_known_for_ever_and_is_a_uid() -> None:
    uid, further = draw_self_test_uid(KEY), draw_self_test_uid(KEY)

    assert is_of_self_test(KEY, uid)
    assert uid != further
    assert len(uid) <= 64
    assert uuid.UUID(int=int(uid.removeprefix("2.25."))).version == 8


def test_that_of_another_installation_is_a_strangers() -> None:
    assert not is_of_self_test(KEY, draw_self_test_uid(OTHER))


@given(st.integers(0, 14), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(place: int, change: int) -> None:
    raw = bytearray(uuid.UUID(int=int(draw_self_test_uid(KEY).removeprefix("2.25."))).bytes)
    raw[place] ^= change

    assert not is_of_self_test(KEY, f"2.25.{uuid.UUID(bytes=bytes(raw)).int}")


@pytest.mark.parametrize(
    "uid", ["", "1.2.3", "2.25.", "2.25.x", "2.25.1", f"2.25.{1 << 128}", "2.25." + "9" * 60]
)
def test_other_uids_are_no_self_test(uid: str) -> None:
    assert not is_of_self_test(KEY, uid)


def test_without_a_key_none_can_be_drawn_or_known() -> None:
    with pytest.raises(StorageError):
        draw_self_test_uid(NO_KEY)
    assert not is_of_self_test(NO_KEY, draw_self_test_uid(KEY))
