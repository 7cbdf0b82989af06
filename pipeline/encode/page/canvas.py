"""Drawing surface of a page: text that fits, boxes, lines and pictures, measured in points.

Pure drawing; nothing of DICOM here. A point is a pixel of the page as it is shown; everything is
drawn with twice as many pixels, so that it can be reduced smoothly, or printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]
Point = tuple[float, float]

SCALE = 2  #: pixels drawn for a point, in both directions
LEADING = 1.32  #: distance between lines of text, in text sizes
BOLD = 0.025  #: width of the stroke that thickens text, in text sizes; the font has one weight
CUT = "..."  #: stands for text that was left out

GROUND: Colour = (13, 17, 23)
PANEL: Colour = (22, 27, 34)
RULE: Colour = (48, 56, 66)
FAINT: Colour = (139, 148, 158)
PLAIN: Colour = (214, 220, 228)
STRONG: Colour = (255, 255, 255)


@cache
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """Font that Pillow brings along (Aileron, CC0), at a height in pixels."""
    loaded = ImageFont.load_default(pixels)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise TypeError("expected Pillow with FreeType, got one without")
    return loaded


def text_width(text: str, size: float) -> float:
    """Width of one line, points."""
    return font(round(SCALE * size)).getlength(text) / SCALE


def fitted(text: str, size: float, width: float) -> str:
    """Text cut where it would grow wider than `width` points."""
    if text_width(text, size) <= width:
        return text
    start = text
    while start and text_width(start + CUT, size) > width:
        start = start[:-1]
    return start.rstrip() + CUT


def wrapped(text: str, size: float, width: float, most: int) -> list[str]:
    """Lines no wider than `width` points; what goes beyond the last one is cut.

    Parameters
    ----------
    most
        Number of lines.
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or text_width(longer, size) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(line, size, width) for line in lines]


class Canvas:
    """A page to draw on; all lengths and places are in points."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (SCALE * width, SCALE * height), GROUND)
        self._draw = ImageDraw.Draw(self._image)

    def text(
        self,
        place: Point,
        text: str,
        *,
        size: float,
        colour: Colour = PLAIN,
        anchor: str = "ls",
        bold: bool = False,
    ) -> None:
        """Write one line; `anchor` as in Pillow: ``ls`` is left, on the base line."""
        self._draw.text(
            _scaled(place),
            text,
            fill=colour,
            font=font(round(SCALE * size)),
            anchor=anchor,
            stroke_width=max(1, round(SCALE * size * BOLD)) if bold else 0,
        )

    def lines(
        self, place: Point, lines: Sequence[str], *, size: float, colour: Colour = PLAIN
    ) -> float:
        """Write lines from a first base line downwards, and give the base line of the next."""
        x, y = place
        for line in lines:
            self.text((x, y), line, size=size, colour=colour)
            y += size * LEADING
        return y

    def box(
        self,
        corner: Point,
        opposite: Point,
        *,
        fill: Colour | None = None,
        outline: Colour | None = None,
        radius: float = 0,
    ) -> None:
        """Fill or frame a rectangle from its upper left corner to its lower right one."""
        right, bottom = _scaled(opposite)
        self._draw.rounded_rectangle(
            (*_scaled(corner), right - 1, bottom - 1),
            radius=SCALE * radius,
            fill=fill,
            outline=outline,
            width=SCALE,
        )

    def line(self, start: Point, end: Point, *, colour: Colour = RULE, width: float = 1) -> None:
        """Draw a straight line."""
        self._draw.line(
            (*_scaled(start), *_scaled(end)), fill=colour, width=max(1, round(SCALE * width))
        )

    def picture(self, corner: Point, picture: Rgb) -> None:
        """Paste ``(rows, columns, 3)`` pixels as they are, `SCALE` of them to a point."""
        left, top = _scaled(corner)
        self._image.paste(Image.fromarray(picture), (round(left), round(top)))

    def pixels(self) -> Rgb:
        """Picture of the page, ``(rows, columns, 3)``, `SCALE` pixels to a point."""
        return np.asarray(self._image).copy()


def _scaled(place: Point) -> Point:
    return SCALE * place[0], SCALE * place[1]
