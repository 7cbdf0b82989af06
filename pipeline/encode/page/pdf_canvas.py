"""Drawing surface that writes a PDF of one page, dark on white, with text that can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from types import MappingProxyType

from PIL import Image
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen import canvas as reportlab_canvas

from pipeline.encode.common.typeface import drawable, font_file
from pipeline.encode.page.canvas import (
    AMBER,
    BLUE,
    FAINT,
    GROUND,
    PANEL,
    PLAIN,
    RULE,
    SCALE,
    STRONG,
    Canvas,
    Colour,
    Point,
    Rgb,
)

PAPER_WIDTH, PAPER_HEIGHT = landscape(A4)
MARGIN = 28.0  #: of the paper, points; with it the page fits Letter as well
JPEG_QUALITY = 92  #: of pictures, with which outlines have no halos
CAP_HEIGHT = 0.73  #: of the typeface, in text sizes

ON_PAPER: Mapping[Colour, Colour] = MappingProxyType(
    {
        GROUND: (255, 255, 255),
        PANEL: (240, 242, 245),
        RULE: (200, 206, 213),
        FAINT: (88, 96, 105),
        PLAIN: (31, 35, 40),
        STRONG: (0, 0, 0),
        AMBER: (154, 95, 0),
        BLUE: (0, 92, 148),
    }
)
"""Colours of the screen as they are printed; others stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Properties of a PDF; the language by its tag (RFC 5646)."""

    title: str
    author: str
    subject: str
    language: str
    created: datetime


class PdfCanvas(Canvas):
    """A page of a PDF; points are scaled so that it fills the paper within its margin.

    Parameters
    ----------
    width, height
        Of the page, points.
    above
        Height of a strip above the page, points, which is drawn on at negative places.
    about
        Properties of the document.
    """

    def __init__(
        self,
        width: float,
        height: float,
        *,
        above: float,
        about: About,
    ) -> None:
        self._height = height
        self._buffer = BytesIO()
        for bold, name in ((False, "Vera"), (True, "VeraBd")):
            pdfmetrics.registerFont(TTFont(name, str(font_file(bold=bold))))
        self._pdf = reportlab_canvas.Canvas(
            self._buffer, pagesize=(PAPER_WIDTH, PAPER_HEIGHT), invariant=1, lang=about.language
        )
        moment = about.created.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
        self._pdf.setDateFormatter(lambda *_parts: moment)
        self._pdf.setTitle(about.title)
        self._pdf.setAuthor(about.author)
        self._pdf.setSubject(about.subject)
        whole = height + above
        scale = min((PAPER_WIDTH - 2 * MARGIN) / width, (PAPER_HEIGHT - 2 * MARGIN) / whole)
        self._pdf.translate((PAPER_WIDTH - scale * width) / 2, (PAPER_HEIGHT - scale * whole) / 2)
        self._pdf.scale(scale, scale)

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
        x, y = place[0], self._height - place[1]
        if anchor.endswith("m"):
            y -= size * CAP_HEIGHT / 2
        self._pdf.setFillColor(_colour(colour))
        self._pdf.setFont("VeraBd" if bold else "Vera", size)
        draw = {
            "l": self._pdf.drawString,
            "m": self._pdf.drawCentredString,
            "r": self._pdf.drawRightString,
        }
        draw[anchor[0]](x, y, drawable(text))

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
        if fill is not None:
            self._pdf.setFillColor(_colour(fill))
        if outline is not None:
            self._pdf.setStrokeColor(_colour(outline))
            self._pdf.setLineWidth(1)
        self._pdf.roundRect(
            corner[0],
            self._height - opposite[1],
            opposite[0] - corner[0],
            opposite[1] - corner[1],
            radius,
            fill=int(fill is not None),
            stroke=int(outline is not None),
        )

    def line(self, start: Point, end: Point, *, colour: Colour = RULE, width: float = 1) -> None:
        """Draw a straight line."""
        self._pdf.setStrokeColor(_colour(colour))
        self._pdf.setLineWidth(width)
        self._pdf.line(start[0], self._height - start[1], end[0], self._height - end[1])

    def picture(self, corner: Point, picture: Rgb) -> None:
        """Show pixels as JPEG."""
        buffer = BytesIO()
        image = Image.fromarray(picture)
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        buffer.seek(0)
        width, height = image.width / SCALE, image.height / SCALE
        self._pdf.drawImage(
            ImageReader(buffer), corner[0], self._height - corner[1] - height, width, height
        )

    def content(self) -> bytes:
        """Bytes of the PDF; what is drawn alike at the same time gives the same bytes."""
        self._pdf.showPage()
        self._pdf.save()
        return self._buffer.getvalue()


def _colour(colour: Colour) -> Color:
    red, green, blue = ON_PAPER.get(colour, colour)
    return Color(red / 255, green / 255, blue / 255)
