"""Text of a PDF that ReportLab wrote, as a search in it would find it."""

from __future__ import annotations

import ast
import base64
import re
import zlib

STREAM = re.compile(rb"<<([^<>]*(?:<<[^<>]*>>[^<>]*)*)>>\s*stream\r?\n(.*?)endstream", re.S)
SHOWN = re.compile(rb"/(F\d+\+\d+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\) Tj", re.S)


def text_of(pdf: bytes) -> str:
    """Every text that the PDF shows, one a line, in the order of drawing."""
    maps = {font: _characters(pdf, number) for font, number in _fonts(pdf)}
    page = page_operators(pdf).encode("latin-1")
    lines = (_line(block, maps) for block in re.findall(rb"BT (.*?) ET", page, re.S))
    return "\n".join(filter(None, lines))


def pictures_of(pdf: bytes) -> list[bytes]:
    """Pictures of the PDF, as JPEG files."""
    return [
        base64.a85decode(data.strip().removesuffix(b"~>"))
        for attributes, data in STREAM.findall(pdf)
        if b"DCTDecode" in attributes
    ]


def page_operators(pdf: bytes) -> str:
    """Operators that draw the page."""
    return next(data for data in _streams(pdf) if b" Tj" in data).decode("latin-1")


def _line(block: bytes, maps: dict[bytes, dict[int, str]]) -> str:
    line, characters = "", dict[int, str]()
    for font, shown in SHOWN.findall(block):
        if font:
            characters = maps[font]
        else:
            codes = ast.literal_eval(f'b"{_escaped(shown)}"')
            line += "".join(characters[code] for code in codes)
    return line


def _escaped(shown: bytes) -> str:
    return shown.decode("latin-1").replace('"', '\\"').replace("\\(", "(").replace("\\)", ")")


def _fonts(pdf: bytes) -> list[tuple[bytes, bytes]]:
    """Names of the fonts, and the objects of their maps to Unicode."""
    named = re.findall(rb"/Name /(F\d+\+\d+).*?/ToUnicode (\d+) 0 R", pdf, re.S)
    return [(font, number) for font, number in named]


def _characters(pdf: bytes, number: bytes) -> dict[int, str]:
    found = re.search(rb"\n" + number + rb" 0 obj\s*(.*?)endobj", pdf, re.S)
    assert found
    (table,) = _streams(found[1])
    pairs = re.findall(rb"^<(\w+)> <(\w+)>$", table, re.M)
    return {int(code, 16): chr(int(character, 16)) for code, character in pairs}


def _streams(part: bytes) -> list[bytes]:
    found = []
    for attributes, data in STREAM.findall(part):
        if b"DCTDecode" in attributes:
            continue
        plain = data
        if b"ASCII85Decode" in attributes:
            plain = base64.a85decode(data.strip().removesuffix(b"~>"))
        if b"FlateDecode" in attributes:
            plain = zlib.decompressobj().decompress(plain)
        found.append(plain)
    return found
