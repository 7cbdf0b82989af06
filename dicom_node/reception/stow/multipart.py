"""Split a multipart body (RFC 2046 5.1) into its parts, one after the other, as it arrives.

python-multipart is pushed to and calls back; here its events are pulled, so that a part can be
written to the disk while it is still on its way, and is never wholly in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from dicom_node.errors import AssociationBroken

MAXIMUM_PARTS = 20_000  #: instances in one request; the largest CT series have a few thousand

Event = tuple[Literal["begin", "name", "value", "field", "headers", "data", "end", "close"], bytes]


class Malformed(AssociationBroken):
    """The body is no multipart message, or ends before its closing boundary."""


class TooManyParts(AssociationBroken):
    """There are more parts than one request may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its header fields, names in lower case, and its body, to be iterated over once."""

    fields: dict[str, str]
    body: Iterator[bytes]


def parts(
    chunks: Iterable[bytes], boundary: bytes, *, maximum: int = MAXIMUM_PARTS
) -> Iterator[Part]:
    """Yield each part; the rest of its body is skipped before the next one.

    Raises
    ------
    Malformed, TooManyParts
        Here, or while a body is iterated over.
    """
    events = _events(chunks, boundary)
    count = 0
    for kind, _ in events:
        if kind == "begin":
            count += 1
            if count > maximum:
                raise TooManyParts(f"expected at most {maximum} parts in one request")
            part = Part(fields=_fields(events), body=_body(events))
            yield part
            deque(part.body, maxlen=0)


def _fields(events: Iterator[Event]) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = value = b""
    for kind, data in events:
        if kind == "headers":
            break
        if kind == "name":
            name += data
        elif kind == "value":
            value += data
        else:
            fields[name.decode("latin-1").lower()] = value.decode("latin-1")
            name = value = b""
    return fields


def _body(events: Iterator[Event]) -> Iterator[bytes]:
    for kind, data in events:
        if kind == "end":
            return
        yield data


def _events(chunks: Iterable[bytes], boundary: bytes) -> Iterator[Event]:
    """Yield the parser's events, chunk by chunk; the body must end with a closing boundary."""
    pending: deque[Event] = deque()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": lambda: pending.append(("begin", b"")),
            "on_header_field": lambda data, start, end: pending.append(("name", data[start:end])),
            "on_header_value": lambda data, start, end: pending.append(("value", data[start:end])),
            "on_header_end": lambda: pending.append(("field", b"")),
            "on_headers_finished": lambda: pending.append(("headers", b"")),
            "on_part_data": lambda data, start, end: pending.append(("data", data[start:end])),
            "on_part_end": lambda: pending.append(("end", b"")),
            "on_end": lambda: pending.append(("close", b"")),
        },
    )
    closed = False
    for chunk in chunks:
        try:
            parser.write(chunk)
        except FormParserError as fault:
            raise Malformed("expected a multipart body with the boundary announced") from fault
        while pending:
            event = pending.popleft()
            closed = closed or event[0] == "close"
            yield event
    if not closed:
        raise Malformed("expected a closing boundary, got the end of the body")
