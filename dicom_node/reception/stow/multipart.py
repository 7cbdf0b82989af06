"""Split a multipart body (RFC 2046 5.1) into its parts, one after the other, as it arrives.

A part can be written to the disk while it is still on its way, and is never wholly in memory. What
the RFC allows and clients do is taken: a preamble, an epilogue, blanks behind a boundary, folded
header lines; and lines that end with LF only, if the first boundary line does.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicom_node.errors import AssociationBroken

MAXIMUM_PARTS = 20_000  #: instances in one request; the largest CT series have a few thousand
MAXIMUM_FIELDS = 1 << 14  #: bytes of the header fields of a part; real ones have a hundred
MAXIMUM_PADDING = 80  #: bytes behind a boundary, up to the end of its line
LINE_END = re.compile(rb"[ \t]*(\r?\n)")  #: transport padding, RFC 2046 5.1.1
FOLD = (b" ", b"\t")  #: begins a line that continues the one before, RFC 5322 2.2.3


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
    message = _Message(chunks, boundary)
    _skip(message.body())  # the preamble
    count = 0
    while not message.is_closed:
        count += 1
        if count > maximum:
            raise TooManyParts(f"expected at most {maximum} parts in one request")
        part = Part(fields=message.fields(), body=message.body())
        yield part
        _skip(part.body)
    message.skip_epilogue()


def _skip(body: Iterator[bytes]) -> None:
    deque(body, maxlen=0)


class _Message:
    """A multipart message that is read from its start to its end.

    Attributes
    ----------
    is_closed
        Whether the closing boundary was read.
    """

    def __init__(self, chunks: Iterable[bytes], boundary: bytes) -> None:
        self._chunks = iter(chunks)
        self._buffer = b"\r\n"  # so that a boundary on the first line begins as all others do
        self._mark = b"\n--" + boundary
        self._is_first = True
        self._lead = 0  #: bytes of the blank line before a body, which may begin a boundary
        self.is_closed = False

    def body(self) -> Iterator[bytes]:
        """Yield what comes before the next boundary, and skip that line.

        Raises
        ------
        Malformed
            If the message ends before.
        """
        while True:
            for piece in self._before_mark():
                yield piece[self._lead :]
                self._lead = max(0, self._lead - len(piece))
            self._lead = 0
            rest = self._peek(MAXIMUM_PADDING)
            if rest.startswith(b"--"):
                self.is_closed = True
                return
            line_end = LINE_END.match(rest)
            if line_end is not None:
                self._buffer = self._buffer[line_end.end() :]
                if self._is_first and line_end[1] == b"\r\n":
                    self._mark = b"\r" + self._mark
                self._is_first = False
                return
            yield self._mark  # data that looks like a boundary at first

    def fields(self) -> dict[str, str]:
        """Read the header fields of a part, and the blank line behind them.

        Raises
        ------
        Malformed
            If they are no header fields, or the message ends before.
        """
        lines: list[bytes] = []
        left = MAXIMUM_FIELDS
        while line := (whole := self._line(left)).rstrip(b"\r\n"):
            left -= len(line)
            if line.startswith(FOLD) and lines:
                lines[-1] += b" " + line.strip()
            else:
                lines.append(line)
        self._buffer, self._lead = whole + self._buffer, len(whole)
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise Malformed("expected header fields at the start of a part")
            fields[name.strip().lower()] = value.strip()
        return fields

    def skip_epilogue(self) -> None:
        """Read what comes behind the closing boundary: nothing of it counts."""
        self._buffer = b""
        deque(self._chunks, maxlen=0)

    def _before_mark(self) -> Iterator[bytes]:
        """Yield what comes before the next mark, and skip that."""
        held = len(self._mark) - 1  #: bytes that may be the start of a mark
        while (at := self._buffer.find(self._mark)) < 0:
            if len(self._buffer) > held:
                yield self._buffer[:-held]
                self._buffer = self._buffer[-held:]
            self._read_more()
        if at:
            yield self._buffer[:at]
        self._buffer = self._buffer[at + len(self._mark) :]

    def _line(self, maximum: int) -> bytes:
        while (at := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > maximum:
                break
            self._read_more()
        if not 0 <= at <= maximum:
            raise Malformed(f"expected at most {MAXIMUM_FIELDS} bytes of header fields in a part")
        line, self._buffer = self._buffer[: at + 1], self._buffer[at + 1 :]
        return line

    def _peek(self, size: int) -> bytes:
        """Give the next bytes, which stay; fewer than `size` where a line or the message ends."""
        while len(self._buffer) < size and b"\n" not in self._buffer:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._buffer += chunk
        return self._buffer[:size]

    def _read_more(self) -> None:
        chunk = next(self._chunks, b"")
        if not chunk:
            which = "the boundary announced" if self._is_first else "a closing boundary"
            raise Malformed(f"expected a multipart body with {which}, got the end of the body")
        self._buffer += chunk
