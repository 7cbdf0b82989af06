"""Write and read HL7 version 2 messages (2.5.1, chapter 2): segments, fields, components.

Of the libraries on the package index one stands since 2022 and the other since 2024; what is
needed here is escaping and joining.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from dicom_node.errors import NodeError

FIELD, COMPONENT, REPETITION, ESCAPE, SUBCOMPONENT = "|", "^", "~", "\\", "&"
SEPARATORS = f"{COMPONENT}{REPETITION}{ESCAPE}{SUBCOMPONENT}"  #: MSH-2
SEGMENT_END = "\r"
LINE_BREAK = "\\.br\\"
LINE_END = re.compile(r"\r\n|\r|\n")
CONTROLS = frozenset(map(chr, (*range(0x20), 0x7F)))  #: left out: they end frames and segments
NAME = re.compile(r"[A-Z][A-Z0-9]{2}")  #: of a segment (2.5.2)
HEXADECIMAL = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")  #: escape of bytes (2.7.5)
ESCAPED = (
    r"[EFHNRST]|X(?:[0-9A-Fa-f]{2})+|Z\w{0,16}|[CM][0-9A-Fa-f]{4,6}|"
    r"\.(?:br|fi|nf|ce|(?:sp|in|ti|sk) ?[+-]?[0-9]*)"
)
"""Escapes by their text: separators, bytes, character sets, commands of formatted text (2.7)."""
BREAKS = (".br", ".sp", ".ce")  #: commands of formatted text that begin a line (2.7.6)

ESCAPES: Mapping[str, str] = MappingProxyType(
    {
        FIELD: "\\F\\",
        COMPONENT: "\\S\\",
        SUBCOMPONENT: "\\T\\",
        REPETITION: "\\R\\",
        ESCAPE: "\\E\\",
    }
)
"""What stands for a separator that is meant as it is (2.7.1)."""


def escaped(text: str) -> str:
    """Write text as the value of a component; line ends and tabs become blanks."""
    line = " ".join(LINE_END.split(text)).replace("\t", " ")
    return "".join(ESCAPES.get(one, one) for one in line if one not in CONTROLS)


def formatted(text: str) -> str:
    """Write text with line ends as a value of type FT, the only one that has them (2.7.6)."""
    return LINE_BREAK.join(map(escaped, LINE_END.split(text)))


def field(*components: str) -> str:
    """Join components; those that are empty at the end are left out (2.10)."""
    return COMPONENT.join(map(escaped, components)).rstrip(COMPONENT)


def segment(name: str, *fields: str) -> str:
    """Join the fields of a segment, from its first on; each is written by `field`."""
    return FIELD.join((name, *fields)).rstrip(FIELD)


def message(*segments: str) -> str:
    """Join segments."""
    return "".join(f"{one}{SEGMENT_END}" for one in segments)


class Segment:
    """One segment of a message that was received.

    Parameters
    ----------
    text
        Of one segment, without its end.
    separators
        MSH-1 and MSH-2 of its message.
    """

    def __init__(self, text: str, separators: str) -> None:
        self._separators = separators
        fields = text.split(separators[0])
        self.name = fields[0]
        # MSH-1 is the separator itself: its other fields are one further on
        self._fields = [fields[0], separators[0], *fields[1:]] if self.name == "MSH" else fields

    def component(self, number: int, component: int = 1) -> str:
        """Read a component of the first repetition of a field, both 1-based; empty without it."""
        return self.repetitions(number, component)[0]

    def repetitions(self, number: int, component: int = 1) -> list[str]:
        """Read a component of every repetition of a field; one is empty where it lacks."""
        found = [one.split(self._separators[1]) for one in self._raw(number)]
        return [
            unescaped(parts[component - 1], self._separators) if component <= len(parts) else ""
            for parts in found
        ]

    def text(self, number: int) -> str:
        """Read a field as text: its repetitions are lines, its components words."""
        lines = (one.replace(self._separators[1], " ") for one in self._raw(number))
        return "\n".join(unescaped(line, self._separators) for line in lines)

    def is_well_escaped(self, number: int) -> bool:
        """Say whether every sign of escape in a field is of an escape."""
        raw = self._fields[number] if number < len(self._fields) else ""
        return self._separators[3] not in _escape(self._separators[3]).sub("", raw)

    def is_empty(self, number: int) -> bool:
        """Say whether a field has no character at all, or stands for none (2.5.3)."""
        return number >= len(self._fields) or self._fields[number] in {"", '""'}

    def _raw(self, number: int) -> list[str]:
        field = self._fields[number] if number < len(self._fields) else ""
        return field.split(self._separators[2])


def unescaped(text: str, separators: str) -> str:
    """Read the text of a component; a sign of escape that begins none stands for itself."""
    meanings = dict(zip("FSRET", separators, strict=True))
    return _escape(separators[3]).sub(lambda one: _meaning(one[1], meanings), text)


@lru_cache(maxsize=8)
def _escape(sign: str) -> re.Pattern[str]:
    """Compile the escapes of 2.7: they lie between two signs."""
    quoted = re.escape(sign)
    return re.compile(rf"{quoted}({ESCAPED}){quoted}")


def _meaning(escaped_text: str, meanings: Mapping[str, str]) -> str:
    if escaped_text.startswith(BREAKS):
        return "\n"
    if found := HEXADECIMAL.fullmatch(escaped_text):
        return _characters(bytes.fromhex(found[1]))
    return meanings.get(escaped_text, "")


def _characters(content: bytes) -> str:
    """Read bytes that were escaped: which character set is meant is seldom said."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = LINE_END.split(text)
    return "\n".join("".join(one for one in line if one not in CONTROLS) for line in lines)


def read_segments(text: str) -> Sequence[Segment]:
    """Read the segments of a message, separators as its header says.

    A line that does not begin with the name of a segment and a separator goes on with the text of
    the one before it.

    Raises
    ------
    NodeError
        If it does not begin with a header; it is not quoted, for it may hold patient data.
    """
    lines = [line for line in text.replace("\n", SEGMENT_END).split(SEGMENT_END) if line.strip()]
    header = lines[0] if lines else ""
    separators = header[3:8]
    if not header.startswith("MSH") or len(set(separators)) != len(SEPARATORS) + 1:
        raise NodeError("expected an HL7 message that begins with MSH and its separators")
    whole: list[str] = []
    for line in lines:
        if not whole or (NAME.match(line) and line[3:4] == separators[0]):
            whole.append(line)
        else:
            whole[-1] += f"\n{line}"
    return [Segment(one, separators) for one in whole]
