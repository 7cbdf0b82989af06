"""Drawing surfaces of a page: text that fits, boxes, lines and pictures, measured in points.

Pure drawing; nothing of DICOM here. A page is laid out once and drawn on any surface: as pixels
here, as a PDF in `pipeline.encode.page.pdf_canvas`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.encode.common.typeface import drawable, font

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]
Point = tuple[float, float]

SCALE = 2
"""Pixels for a point, in both directions: of pictures, and of a page drawn as pixels, so that it
can be reduced smoothly for a screen."""
LEADING = 1.32  #: distance between lines of text, in text sizes
CUT = "..."  #: stands for text that was left out
STEP = 1 / SCALE  #: points; between the sizes of a typeface that is drawn as pixels
LEAST_SIZE = 9.0  #: points; smaller text is hard to read on a screen
FIGURE = re.compile(r"\S*\d\S*(?:\s(?:%|ml|mm|HU|UH)(?!\w)\S*)?")
"""A number, whatever is written to it without a space, and its unit."""

GROUND: Colour = (13, 17, 23)
PANEL: Colour = (22, 27, 34)
RULE: Colour = (48, 56, 66)
FAINT: Colour = (139, 148, 158)
PLAIN: Colour = (214, 220, 228)
STRONG: Colour = (255, 255, 255)
AMBER: Colour = (230, 160, 0)
BLUE: Colour = (86, 181, 233)
"""Okabe and Ito (2008), told apart with every colour vision; a level beside the colours of
outlines, which stay on paper, where these grow dark."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of one line, points."""
    return font(round(SCALE * size), bold=bold).getlength(drawable(text)) / SCALE


def fitting_size(text: str, size: float, width: float, *, bold: bool = False) -> float:
    """Size of text, at most the one given, at which it is no wider than `width` points."""
    size = min(size, size * width / max(text_width(text, size, bold=bold), 1.0))
    while size > STEP and text_width(text, size, bold=bold) > width:  # sizes are whole pixels
        size -= STEP
    return size


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """Text cut where it would grow wider than `width` points; never within a number.

    A number goes with its unit: half of one would read as another number.
    """
    if text_width(text, size, bold=bold) <= width:
        return text
    end = len(text)
    while end and text_width(text[:end] + CUT, size, bold=bold) > width:
        end -= 1
    for figure in FIGURE.finditer(text):
        if figure.start() < end < figure.end():
            end = figure.start()
    return text[:end].rstrip() + CUT


def shrunk(text: str, size: float, width: float, *, bold: bool = False) -> tuple[str, float]:
    """Text and a size at which it is no wider than `width` points.

    It is cut only where it would be smaller than `LEAST_SIZE`.
    """
    fitting = max(fitting_size(text, size, width, bold=bold), min(LEAST_SIZE, size))
    return fitted(text, fitting, width, bold=bold), fitting


def wrapped(text: str, size: float, width: float, most: int, *, bold: bool = False) -> list[str]:
    """Lines no wider than `width` points; what goes beyond the last one is cut.

    Parameters
    ----------
    most
        Number of lines.
    """
    lines: list[str] = []
    for word in filter(None, text.split(" ")):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or text_width(longer, size, bold=bold) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(line, size, width, bold=bold) for line in lines]


class Canvas(ABC):
    """A page to draw on; all lengths and places are in points, from its upper left corner."""

    @abstractmethod
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
        """Write one line.

        Parameters
        ----------
        anchor
            Point of the text that stands at the place: ``l``, ``m`` or ``r`` for its left end,
            middle or right end; ``s`` for its base line, ``m`` for the middle of its height.
        """

    def lines(
        self,
        place: Point,
        lines: Sequence[str],
        *,
        size: float,
        colour: Colour = PLAIN,
        bold: bool = False,
    ) -> float:
        """Write lines from a first base line downwards, and give the base line of the next."""
        x, y = place
        for line in lines:
            self.text((x, y), line, size=size, colour=colour, bold=bold)
            y += size * LEADING
        return y

    @abstractmethod
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

    @abstractmethod
    def line(self, start: Point, end: Point, *, colour: Colour = RULE, width: float = 1) -> None:
        """Draw a straight line."""

    @abstractmethod
    def picture(self, corner: Point, picture: Rgb) -> None:
        """Show ``(rows, columns, 3)`` pixels, `SCALE` of them to a point."""


class PixelCanvas(Canvas):
    """A page of pixels, `SCALE` of them to a point."""

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
        """Write one line."""
        face = font(round(SCALE * size), bold=bold)
        self._draw.text(_scaled(place), drawable(text), fill=colour, font=face, anchor=anchor)

    def box(
        self,
        corner: Point,
        opposite: Point,
        *,
        fill: Colour | None = None,
        outline: Colour | None = None,
        radius: float = 0,
    ) -> None:
        """Fill or frame a rectangle."""
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
        """Paste pixels as they are."""
        left, top = _scaled(corner)
        self._image.paste(Image.fromarray(picture), (round(left), round(top)))

    def pixels(self) -> Rgb:
        """Picture of the page, ``(rows, columns, 3)``."""
        return np.asarray(self._image).copy()


def _scaled(place: Point) -> Point:
    return SCALE * place[0], SCALE * place[1]
