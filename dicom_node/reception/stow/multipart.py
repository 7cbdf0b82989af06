"""The parts of a multipart body (RFC 2046 5.1), one after the other, never wholly in memory.

python-multipart is pushed to and calls back; here its events are pulled, so that a part can be
written to the disk while it is still on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from dicom_node.errors import ReceptionBroken

MAXIMUM_PARTS = 20_000  #: instances in one request; the largest CT series have a few thousand

Event = tuple[Literal["begin", "name", "value", "field", "headers", "data", "end", "close"], bytes]


class Malformed(ReceptionBroken):
    """The body is no multipart message, or ends before its closing boundary."""


class TooManyParts(ReceptionBroken):
    """There are more than one request may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its header fields, names in lower case, and its body, to be gone through once."""

    fields: dict[str, str]
    body: Iterator[bytes]


def parts(
    chunks: Iterable[bytes], boundary: bytes, *, maximum: int = MAXIMUM_PARTS
) -> Iterator[Part]:
    """Yield each part; what was left of its body is passed over before the next one.

    Raises
    ------
    Malformed, TooManyParts
        Here, or while a body is gone through.
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
    """Yield what the parser finds, chunk by chunk; at its end there must be a closing boundary."""
    found: deque[Event] = deque()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": lambda: found.append(("begin", b"")),
            "on_header_field": lambda data, start, end: found.append(("name", data[start:end])),
            "on_header_value": lambda data, start, end: found.append(("value", data[start:end])),
            "on_header_end": lambda: found.append(("field", b"")),
            "on_headers_finished": lambda: found.append(("headers", b"")),
            "on_part_data": lambda data, start, end: found.append(("data", data[start:end])),
            "on_part_end": lambda: found.append(("end", b"")),
            "on_end": lambda: found.append(("close", b"")),
        },
    )
    closed = False
    for chunk in chunks:
        try:
            parser.write(chunk)
        except FormParserError as fault:
            raise Malformed("expected a multipart body with the boundary announced") from fault
        while found:
            event = found.popleft()
            closed = closed or event[0] == "close"
            yield event
    if not closed:
        raise Malformed("expected a closing boundary, got the end of the body")
