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


FIELDS = {"content-type": 'application/dicom; transfer-syntax="1.2"', "x": "1"}
LENIENT = {
    "a preamble": b"This is multipart.\r\n-- really\r\n--b0undary\r\n",
    "no line before": b"--b0undary\r\n",
    "padding": b"\r\n--b0undary \t\r\n",
}


@pytest.mark.parametrize("start", LENIENT)
@pytest.mark.parametrize("end", [b"--", b"--\r\n", b"-- \r\nan epilogue\r\n--b0undary\r\n"])
@given(at=st.lists(st.integers(0, 10_000), max_size=20))
def test_what_rfc_2046_allows_is_taken(start: str, end: bytes, at: list[int]) -> None:
    """A preamble and an epilogue (5.1.1), padding, folded header lines (RFC 5322 2.2.3)."""
    head = b'Content-Type: application/dicom;\r\n\ttransfer-syntax="1.2"\r\nX : 1\r\n\r\n'
    whole = LENIENT[start] + head + b"one" + DELIMITER + b"\r\n\r\ntwo" + DELIMITER + end
    found = [(part.fields, b"".join(part.body)) for part in parts(cut(whole, at), BOUNDARY)]
    assert found == [(FIELDS, b"one"), ({}, b"two")]


@given(at=st.lists(st.integers(0, 10_000), max_size=20))
def test_lines_may_end_with_lf_only(at: list[int]) -> None:
    whole = b"--b0undary\nX: 1\n\none\r\n--b0undary\n\n\n--b0undary--\n"
    assert bodies_of(cut(whole, at)) == [b"one\r", b""]


@given(at=st.lists(st.integers(0, 10_000), max_size=20))
def test_an_empty_part_swallows_none(at: list[int]) -> None:
    """The line end before a boundary may be that of the header fields (RFC 2046 5.1.1)."""
    whole = b"--b0undary\r\nX: 1\r\n\r\n--b0undary\r\nX: 2\r\n\r\ntwo\r\n--b0undary--"
    assert bodies_of(cut(whole, at)) == [b"", b"two"]


def test_data_that_looks_like_a_boundary_is_data() -> None:
    whole = b"--b0undary\r\n\r\nx\r\n--b0undaryZ\r\ny\r\n--b0undary--"
    assert bodies_of([whole]) == [b"x\r\n--b0undaryZ\r\ny"]


@pytest.mark.parametrize("fields", [b"no colon\r\n\r\n", b"X: " + b"y" * 20_000])
def test_header_fields_are_bounded(fields: bytes) -> None:
    with pytest.raises(Malformed, match="header fields"):
        bodies_of([b"--b0undary\r\n" + fields + b"--b0undary--"])
