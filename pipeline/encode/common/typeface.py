"""Typeface of all that is drawn: Bitstream Vera, which ReportLab brings along.

It has the letters of western European languages, which the font of Pillow has not.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from PIL import ImageFont
from reportlab.pdfbase.ttfonts import TTFontFile


def font_file(*, bold: bool = False) -> Path:
    """File of the typeface (TrueType)."""
    return Path(str(files("reportlab"))) / "fonts" / ("VeraBd.ttf" if bold else "Vera.ttf")


@cache
def font(pixels: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Font at a height in pixels."""
    engine = ImageFont.Layout.BASIC  # the same everywhere, with and without libraqm
    return ImageFont.truetype(font_file(bold=bold), pixels, layout_engine=engine)


def drawable(text: str) -> str:
    """Put plain spaces for no-break ones, which the typeface draws three times as wide."""
    return text.replace("\u00a0", " ")


def draws(text: str) -> bool:
    """Tell whether the typeface has every character of a text."""
    return all(ord(character) in _characters() for character in text)


@cache
def _characters() -> frozenset[int]:
    return frozenset(TTFontFile(str(font_file())).charToGlyph)
