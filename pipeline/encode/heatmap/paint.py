"""Paint the pictures of the heatmap: activation and outlines over the CT, and the legend.

Pure arrays; nothing of DICOM here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pipeline.encode.common import sentences, typeface
from pipeline.encode.language.translation import _

Rgb = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Level = TypeVar("Level", bound=np.integer)

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""Window width 1500, level -600 HU: the lung window of thoracic radiology."""

INFERNO = (
    (0x00, 0x00, 0x04),
    (0x1B, 0x0C, 0x41),
    (0x4A, 0x0C, 0x6B),
    (0x78, 0x1C, 0x6D),
    (0xA5, 0x2C, 0x60),
    (0xCF, 0x44, 0x46),
    (0xED, 0x69, 0x25),
    (0xFB, 0x9B, 0x06),
    (0xF7, 0xD1, 0x3D),
    (0xFC, 0xFF, 0xA4),
)
"""Ten even steps of the colour map "inferno" (van der Walt and Smith 2015, CC0): its lightness
rises evenly, so that it reads the same with every colour vision and in grey."""

MAX_OPACITY = 0.6
"""Activation 1 lets 40 % of the CT shine through: the anatomy stays readable."""

OUTLINE = (0, 255, 255)
"""Cyan: far from every colour of the map, and from grey."""

NUMBER = (255, 255, 255)  #: with a black edge: read on every colour

LEGEND_HU = -850.0
"""Aerated lung: the legend shows the colours as they look over it."""

TEXT_SIZES = {384: 11, 192: 9, 0: 8}
"""Size of the text, in pixels, by the fewest columns of a picture that has it."""
LEADING = 3  #: pixels between the lines of text
MARGIN = 4  #: pixels
BAR_WIDTH = 72  #: pixels, at most
LEAST_BAR_WIDTH = 16  #: pixels, of a bar between two words
MOST_TEXT = 0.3  #: of the rows: the legend covers no more

AIR_HU = -1000.0
MOST_AIR_HU = -850.0
"""Outside the lungs, what is below is air, whose noise is half of a picture's compressed bytes."""


@cache
def colour_map() -> NDArray[np.float32]:
    """RGB of the activation bytes.

    Returns
    -------
    NDArray
        ``(256, 3)``, 0 to 255.
    """
    stops = np.linspace(0, 255, len(INFERNO))
    steps = np.arange(256)
    channels = [np.interp(steps, stops, channel) for channel in np.array(INFERNO).T]
    table = np.stack(channels, axis=-1).astype(np.float32)
    table.flags.writeable = False
    return table


def reduced(plane: NDArray[np.integer], factor: int) -> NDArray[np.float32]:
    """Means of blocks of ``factor`` by ``factor`` pixels; the edge is repeated to fill the last.

    Parameters
    ----------
    plane
        ``(rows, columns)``.
    """
    filled = _filled(plane, factor)
    total = np.zeros([length // factor for length in filled.shape], dtype=np.float32)
    for row, column in np.ndindex(factor, factor):
        total += filled[row::factor, column::factor]
    return total / np.float32(factor * factor)


def reduced_labels(labels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Highest labels of blocks: no label vanishes, and none grows by a block or more.

    Parameters
    ----------
    labels
        ``(rows, columns)``.
    """
    filled = _filled(labels, factor)
    highest = filled[::factor, ::factor].copy()
    for row, column in np.ndindex(factor, factor):
        np.maximum(highest, filled[row::factor, column::factor], out=highest)
    return highest


def _filled(plane: NDArray[Level], factor: int) -> NDArray[Level]:
    """Plane whose rows and columns are multiples of the factor."""
    rows, columns = plane.shape
    missing = ((0, -rows % factor), (0, -columns % factor))
    return np.pad(plane, missing, mode="edge") if any(missing[0] + missing[1]) else plane


def windowed(hu: NDArray[np.integer] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey levels of the lung window.

    Parameters
    ----------
    hu
        ``(rows, columns)``, HU.
    """
    low, high = (np.float32(limit) for limit in LUNG_WINDOW_HU)
    grey = (hu.astype(np.float32) - low) * np.float32(255 / (high - low))
    levels: NDArray[np.uint8] = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)
    return levels


def with_even_air(hu: NDArray[np.float32], lungs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give the air outside the lungs one attenuation; tissue, table and lungs stay as they are.

    Parameters
    ----------
    hu, lungs
        ``(rows, columns)``.
    """
    return np.where((hu < MOST_AIR_HU) & ~lungs, np.float32(AIR_HU), hu)


def overlay(hu: NDArray[np.float32], activation: NDArray[np.float32]) -> Rgb:
    """Windowed CT under the activation; opacity rises with activation.

    Parameters
    ----------
    hu
        ``(rows, columns)``, HU.
    activation
        ``(rows, columns)``, 0 to 255.

    Returns
    -------
    NDArray
        ``(rows, columns, 3)``.
    """
    level = np.rint(np.clip(activation, 0, 255)).astype(np.intp)
    return np.take(_mixtures(), 256 * level + windowed(hu), axis=0)


@cache
def _mixtures() -> Rgb:
    """RGB of 256 times the activation's byte plus the grey level, ``(65536, 3)``."""
    grey = np.arange(256, dtype=np.float32)
    opacity = np.linspace(0, MAX_OPACITY, 256, dtype=np.float32)
    tint = colour_map() * opacity[:, None]
    mixed = grey[:, None] * (1 - opacity)[:, None, None] + tint[:, None]
    table = np.rint(mixed).astype(np.uint8).reshape(-1, 3)
    table.flags.writeable = False
    return table


def draw_outline(picture: Rgb, labels: NDArray[np.integer]) -> None:
    """Draw, in place, the inner border of every label above 0.

    Parameters
    ----------
    labels
        ``(rows, columns)``, on the grid of the picture.
    """
    if labels.any():
        picture[inner_border(labels)] = OUTLINE


def inner_border(labels: NDArray[Level], width: int = 1) -> NDArray[np.bool_]:
    """Pixels of a label above 0 that lie less than `width` steps from another label.

    Parameters
    ----------
    labels
        ``(rows, columns)``.
    """
    core = labels
    for _step in range(width):
        core = np.where(_amid_equals(core), core, 0)
    border: NDArray[np.bool_] = (labels > 0) & (core == 0)
    return border


def _amid_equals(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Mask of pixels whose four neighbours have their label; beyond the edge there is none."""
    padded = np.pad(labels, 1)
    inside = np.ones(labels.shape, dtype=np.bool_)
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        neighbour = padded[rows : rows + labels.shape[0], columns : columns + labels.shape[1]]
        inside &= neighbour == labels
    return inside


def draw_numbers(picture: Rgb, labels: NDArray[np.uint8], most: int) -> None:
    """Write, in place, the numbers of the labels up to `most` at their upper right corners.

    Parameters
    ----------
    labels
        ``(rows, columns)``, on the grid of the picture.
    """
    boxes = ndimage.find_objects(labels, max_label=most)
    if not any(boxes):
        return
    image, size = Image.fromarray(picture), _text_size(picture.shape[1])
    draw, font = ImageDraw.Draw(image), typeface.font(size)
    for number, box in enumerate(boxes, start=1):
        if box is not None:
            right = picture.shape[1] - font.getlength(str(number)) - 1
            place = min(box[1].stop + 2, right), max(0, box[0].start - size // 2)
            _write(draw, place, str(number), font)
    picture[:] = np.asarray(image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """Words and colours that explain the pictures of a series.

    Attributes
    ----------
    strength
        Factor of the activation in the pictures, 0 to 1: the legend shows the same colours.
    """

    lines: tuple[str, ...] = ()
    strength: float = 1.0


def draw_legend(picture: Rgb, label: str, legend: Legend) -> None:
    """Write, in place, along the lower edge: what it is, of which image, and the colours.

    For the one picture of a series that explains the others. The edge shows the table or the air
    around the patient. Where there is no room for all of it, the colours are left out first, then
    the number of the image, then whole lines: no sentence is cut.
    """
    rows, columns = picture.shape[:2]
    image, size = Image.fromarray(picture), _text_size(columns)
    height = size + LEADING
    draw, font = ImageDraw.Draw(image), typeface.font(size)
    notice = _(sentences.RESEARCH_SHORT)
    named = notice + (_("; {words}", words=label) if label else "")
    room = int(MOST_TEXT * rows) // height
    texts = (named, *legend.lines)
    every = _lines_that_fit(texts, font, columns, rows)
    lines = _lines_that_fit(texts, font, columns, room)
    if len(lines) < len(every) or not _lines_that_fit((named,), font, columns, room):
        lines = _lines_that_fit((notice, *legend.lines), font, columns, room)
    if not lines:
        return
    has_bar = len(lines) < room
    top = _write_lines(draw, lines, rows - height * (len(lines) + has_bar) - 1, font, height)
    if has_bar:
        _draw_bar(image, draw, font, top, legend.strength)
    picture[:] = np.asarray(image)


def draw_caption(picture: Rgb, label: str, caveat: str) -> None:
    """Write, in place, along the lower edge in one line: what it is, and of which image.

    A picture that is taken out of its series has to say that much. What one line has no room for
    takes more; only where these would cover too much, the number of the image is left out.

    Parameters
    ----------
    caveat
        What no picture may be without besides; may be empty.
    """
    rows, columns = picture.shape[:2]
    size = _text_size(columns)
    height, font = size + LEADING, typeface.font(size)
    needed = _(sentences.RESEARCH_SHORT) + (_("; {words}", words=caveat) if caveat else "")
    whole = needed + (_("; {words}", words=label) if label else "")
    room = int(MOST_TEXT * rows) // height
    lines = _lines_that_fit((whole,), font, columns, room) or _lines_that_fit(
        (needed,), font, columns, room
    )
    top = rows - height * len(lines) - 1
    edge = picture[max(0, top - LEADING) :]  # all of the picture would be copied twice
    image = Image.fromarray(edge)
    _write_lines(ImageDraw.Draw(image), lines, min(top, LEADING), font, height)
    edge[:] = np.asarray(image)


def _write_lines(
    draw: ImageDraw.ImageDraw, lines: list[str], top: float, font: Font, height: int
) -> int:
    """Write lines below one another; return the place of the next."""
    for place, line in enumerate(lines):
        _write(draw, (MARGIN, top + place * height), line, font)
    return int(top) + len(lines) * height


def _lines_that_fit(texts: tuple[str, ...], font: Font, columns: int, room: int) -> list[str]:
    """Wrap texts into at most so many lines; a text of which a part would be lost is left out."""
    lines: list[str] = []
    for text in texts:
        wrapped = _wrapped(text, font, columns - 2 * MARGIN)
        fits = all(font.getlength(line) <= columns - 2 * MARGIN for line in wrapped)
        if fits and len(lines) + len(wrapped) <= room:
            lines += wrapped
    return lines


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, font: Font) -> None:
    draw.text(
        place, typeface.drawable(text), fill=NUMBER, font=font, stroke_width=1, stroke_fill="black"
    )


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    lines: list[str] = []
    for word in filter(None, text.split(" ")):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw_bar(
    image: Image.Image, draw: ImageDraw.ImageDraw, font: Font, top: int, strength: float
) -> None:
    """Draw the colours from 0 to 1, with as many words as leave room for them."""
    for words in ((f"{_('activation')} 0", _("1 (relative)")), (f"{_('activation')} 0", "1")):
        least, most = words
        left = MARGIN + int(font.getlength(f"{least} ")) + 2
        room = image.width - left - 2 * MARGIN - int(font.getlength(most)) - 1
        if room >= LEAST_BAR_WIDTH:
            break
    else:
        return
    width, height = min(BAR_WIDTH, room), _text_size(image.width) + LEADING
    steps = np.linspace(0, 255 * strength, width)
    level = np.broadcast_to(steps, (height - 5, width)).astype(np.float32)
    bar = overlay(np.full(level.shape, LEGEND_HU, np.float32), level)
    _write(draw, (MARGIN, top), least, font)
    image.paste(Image.fromarray(bar), (left, top + 3))
    _write(draw, (left + width + MARGIN, top), most, font)


def _text_size(columns: int) -> int:
    return next(size for fewest, size in TEXT_SIZES.items() if columns >= fewest)
