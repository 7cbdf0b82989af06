"""Multipart bodies give the same parts, or are refused, however they are cut into chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicom_node.reception.stow.multipart import Malformed, TooManyParts, parts

BOUNDARY = b"b0undary"
DELIMITER = b"\r\n--" + BOUNDARY
TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--b0undar", b"b0undary", b"\x00", b"CT"]),
    max_size=12,
).map(b"".join)
BODIES = st.lists(
    TRICKY.filter(lambda body: DELIMITER not in b"\r\n" + body),
    min_size=1,
    max_size=4,
)


def message(bodies: list[bytes]) -> bytes:
    heads = b"\r\nContent-Type: application/dicom\r\nX-Empty:\r\nX-Other: a b\r\n\r\n"
    return b"".join(b"\r\n--" + BOUNDARY + heads + body for body in bodies) + DELIMITER + b"--\r\n"


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % len(data) for place in at)})
    return [data[start:end] for start, end in pairwise(places)]


def bodies_of(chunks: list[bytes]) -> list[bytes]:
    return [b"".join(part.body) for part in parts(chunks, BOUNDARY)]


@given(bodies=BODIES, at=st.lists(st.integers(0, 10_000), max_size=40))
@example(bodies=[b"\r\n--b0undar", b""], at=list(range(400)))
def test_parts_do_not_depend_on_chunks(bodies: list[bytes], at: list[int]) -> None:
    found = [
        (part.fields, b"".join(part.body)) for part in parts(cut(message(bodies), at), BOUNDARY)
    ]

    fields = {"content-type": "application/dicom", "x-empty": "", "x-other": "a b"}
    assert found == [(fields, body) for body in bodies]


@given(bodies=BODIES, end=st.integers(1, 10_000), at=st.lists(st.integers(0, 10_000), max_size=8))
def test_a_body_that_ends_early_is_refused(bodies: list[bytes], end: int, at: list[int]) -> None:
    whole = message(bodies).removesuffix(b"--\r\n")
    short = whole[: max(1, end % len(whole))]

    with pytest.raises(Malformed):
        bodies_of(cut(short, at))


@given(data=st.binary(min_size=1, max_size=300), at=st.lists(st.integers(0, 300), max_size=8))
def test_anything_else_is_refused_or_passed_over(data: bytes, at: list[int]) -> None:
    with pytest.raises(Malformed):
        bodies_of(cut(data, at))


def test_what_is_left_of_a_part_is_passed_over() -> None:
    found = [next(part.body) for part in parts([message([b"one", b"two"])], BOUNDARY)]

    assert found == [b"one", b"two"]


def test_parts_are_counted() -> None:
    with pytest.raises(TooManyParts):
        list(parts([message([b"", b"", b""])], BOUNDARY, maximum=2))
