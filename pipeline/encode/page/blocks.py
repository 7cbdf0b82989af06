"""Blocks of the summary page: score, involvement, opacities, comparison, notes.

A block is drawn from its place downwards. Amber asks for attention, blue does not; there is no red
and no green: the page judges nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.encode.common import sentences
from pipeline.encode.page.canvas import (
    FAINT,
    GROUND,
    PANEL,
    PLAIN,
    RULE,
    STRONG,
    Canvas,
    Colour,
    fitted,
    text_width,
    wrapped,
)
from pipeline.types import Analysis, Classification, Involvement, Lesion

AMBER: Colour = (230, 159, 0)
BLUE: Colour = (86, 180, 233)
"""Okabe and Ito (2008), told apart with every colour vision."""

MOST_ROWS = 8  #: opacities in the table
MOST_BARS = 5  #: studies in the comparison, this one included
QUARTERS = (0.25, 0.5, 0.75)

LABEL, BODY, SMALL = 16.0, 18.0, 14.0  #: text sizes, points


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Place of a block, points."""

    left: float
    top: float
    width: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.width


def label(canvas: Canvas, place: Place, text: str) -> None:
    """Draw the heading of a block; a thin rule runs on to its right edge."""
    shown = fitted(text.upper(), SMALL, place.width)
    canvas.text((place.left, place.top + SMALL), shown, size=SMALL, colour=FAINT, bold=True)
    start = place.left + text_width(shown, SMALL) + 12
    canvas.line((start, place.top + SMALL / 2 + 2), (place.right, place.top + SMALL / 2 + 2))


def score(canvas: Canvas, place: Place, found: Classification) -> None:
    """Draw the score, the decision, and its place on the scale from 0 to 1."""
    colour = AMBER if found.positive else BLUE
    digits = sentences.telling_digits(found.score, found.threshold)
    figure = sentences.number(found.score, digits)
    size = 84.0 if digits == 2 else 32.0
    label(canvas, place, "COVID-19 classifier: score")
    canvas.text((place.left, place.top + 98), figure, size=size, colour=STRONG, bold=True)
    left = place.left + text_width(figure, size) + 26
    room = place.right - left
    decision = fitted(sentences.decision(found).capitalize(), 25, room)
    canvas.text((left, place.top + 64), decision, size=25, colour=colour, bold=True)
    canvas.text((left, place.top + 92), fitted(_certainty(found), LABEL, room), size=LABEL)
    _scale(canvas, Place(left=place.left, top=place.top + 122, width=place.width), found, colour)


def _certainty(found: Classification) -> str:
    return "" if found.prediction_set is None else found.prediction_set.words.capitalize()


def _scale(canvas: Canvas, place: Place, found: Classification, colour: Colour) -> None:
    """Draw the bar of the score, with the threshold as a mark across it."""
    top, bottom = place.top, place.top + 16
    threshold = place.left + place.width * found.threshold
    canvas.box((place.left, top), (place.right, bottom), fill=RULE, radius=3)
    filled = place.left + max(4.0, place.width * found.score)
    canvas.box((place.left, top), (filled, bottom), fill=colour, radius=3)
    canvas.box((threshold - 3, top - 7), (threshold + 3, bottom + 7), fill=GROUND)
    canvas.box((threshold - 1.5, top - 7), (threshold + 1.5, bottom + 7), fill=STRONG)
    digits = sentences.telling_digits(found.score, found.threshold)
    point = sentences.ascii_text(found.operating_point)
    text = f"threshold {sentences.number(found.threshold, digits)} ({point})"
    text = fitted(text, LABEL, place.width - 60)
    half = text_width(text, LABEL) / 2
    middle = min(max(threshold, place.left + 24 + half), place.right - 24 - half)
    canvas.text((middle, bottom + 26), text, size=LABEL, colour=PLAIN, anchor="ms")
    canvas.text((place.left, bottom + 26), "0", size=LABEL, colour=FAINT)
    canvas.text((place.right, bottom + 26), "1", size=LABEL, colour=FAINT, anchor="rs")


def involvement(canvas: Canvas, place: Place, found: Involvement) -> None:
    """Draw the shares of the lungs, and of both, on a scale of the whole lung."""
    label(canvas, place, "Share of the lungs taken by opacities")
    rows = (
        ("Right lung", found.right, found.right_ml),
        ("Left lung", found.left, found.left_ml),
        (
            "Both lungs" if found.right_ml and found.left_ml else "Together",
            found.total,
            found.total_ml,
        ),
    )
    for number, (name, share, volume) in enumerate(rows):
        top = place.top + 32 + 31 * number
        total = number == len(rows) - 1
        canvas.text((place.left, top + 17), name, size=BODY, bold=total)
        if not volume:
            missing = "not told apart" if found.open_ml else "not found"
            canvas.text((place.left + 106, top + 17), missing, size=BODY, colour=FAINT)
            continue
        _share(canvas, Place(left=place.left + 106, top=top, width=place.width - 218), share, total)
        of = f"of {sentences.number(volume, 0)} ml"
        canvas.text((place.right, top + 17), of, size=LABEL, colour=FAINT, anchor="rs")


def _share(canvas: Canvas, place: Place, share: float | None, total: bool) -> None:
    """Draw bar and figure; only words where there is no figure: an empty bar would read as none."""
    shown, y = sentences.percent(share), place.top + 17
    if share is None:
        canvas.text((place.left, y), shown, size=BODY, colour=FAINT)
        return
    _bar(canvas, Place(left=place.left, top=place.top, width=place.width - 84), share)
    canvas.text((place.right, y), shown, size=BODY, colour=STRONG, anchor="rs", bold=total)


def _bar(canvas: Canvas, place: Place, share: float) -> None:
    top, bottom = place.top + 4, place.top + 18
    canvas.box((place.left, top), (place.right, bottom), fill=RULE, radius=2)
    if share:
        filled = place.left + max(2.0, place.width * min(share, 1.0))
        canvas.box((place.left, top), (filled, bottom), fill=AMBER)
    for quarter in QUARTERS:
        x = place.left + quarter * place.width
        canvas.line((x, top), (x, bottom), colour=GROUND)


def opacities(
    canvas: Canvas,
    place: Place,
    found: Analysis,
    colours: Mapping[int, Colour],
    images: Mapping[int, str],
) -> None:
    """Draw the table of the largest opacities.

    Parameters
    ----------
    colours
        RGB by the number of an opacity.
    images
        Image that shows an opacity best, by the number of the opacity.
    """
    lesions = sorted(found.lesions, key=lambda lesion: lesion.number)
    head = f"Opacities ({len(lesions)})" if lesions else "Opacities"
    label(canvas, place, head)
    if not lesions:
        lines = wrapped(sentences.involvement_sentence(found), 22, place.width, 3)
        canvas.lines((place.left, place.top + 46), lines, size=22)
        return
    _row(canvas, place, 0, ("side", "volume", "mean", "image"), FAINT)
    for number, lesion in enumerate(lesions[:MOST_ROWS], start=1):
        _lesion(canvas, place, number, lesion, colours[lesion.number], images[lesion.number])
    _more(canvas, place, lesions[MOST_ROWS:])


def _lesion(
    canvas: Canvas, place: Place, row: int, lesion: Lesion, colour: Colour, image: str
) -> None:
    y = place.top + 40 + 25 * row
    canvas.box((place.left, y - 17), (place.left + 30, y + 4), outline=colour, fill=PANEL, radius=4)
    middle = (place.left + 15, y - 1)
    canvas.text(middle, str(lesion.number), size=LABEL, colour=STRONG, anchor="ms", bold=True)
    values = (
        str(lesion.side or "open"),
        f"{sentences.number(lesion.volume_mm3 / 1000, 1)} ml",
        f"{sentences.number(lesion.mean_hu, 0)} HU",
        image,
    )
    _row(canvas, place, row, values, PLAIN)


def _row(canvas: Canvas, place: Place, row: int, values: Sequence[str], colour: Colour) -> None:
    """Write the side at the left, the numbers flush right in columns of their own."""
    y = place.top + 40 + 25 * row
    side, *numbers = values
    canvas.text((place.left + 50, y), side, size=LABEL, colour=colour)
    for share, value in zip((0.48, 0.74, 1.0), numbers, strict=True):
        x = place.left + share * place.width
        canvas.text((x, y), fitted(value, LABEL, 120), size=LABEL, colour=colour, anchor="rs")


def _more(canvas: Canvas, place: Place, rest: Sequence[Lesion]) -> None:
    if not rest:
        return
    volume = sentences.number(sum(lesion.volume_mm3 for lesion in rest) / 1000, 1)
    y = place.top + 40 + 25 * (MOST_ROWS + 1)
    text = f"{len(rest)} more, together {volume} ml: see the report"
    canvas.text((place.left + 50, y), text, size=LABEL, colour=FAINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One study in the comparison.

    Attributes
    ----------
    name
        Its date.
    share
        Of both lungs, taken by opacities, 0 to 1; None where it is not reported.
    note
        Its score; not that of another model.
    """

    name: str
    share: float | None
    note: str


def comparison(canvas: Canvas, place: Place, studies: Sequence[Study]) -> None:
    """Draw bars of the share of the lungs, study by study; the last one is this study.

    The scale ends at the highest bar: it shows the course, and the figures stand above the bars.
    A share that is not reported has no bar.
    """
    label(canvas, place, "Course: share of both lungs")
    shown = studies[-MOST_BARS:]
    step, height, floor = place.width / len(shown), 46.0, place.top + 92
    highest = max(study.share or 0.0 for study in shown) or 1.0
    for number, study in enumerate(shown):
        middle = place.left + step * (number + 0.5)
        this = number == len(shown) - 1
        _study(canvas, (middle, floor), study, height / highest, this=this)


def _study(
    canvas: Canvas, foot: tuple[float, float], study: Study, scale: float, *, this: bool
) -> None:
    middle, floor = foot
    top, colour = floor, STRONG if this else PLAIN
    if study.share is not None:
        top -= max(2.0, scale * study.share)
        canvas.box((middle - 16, top), (middle + 16, floor), fill=AMBER if this else FAINT)
    figure = sentences.percent(study.share)
    canvas.text((middle, top - 5), figure, size=SMALL, colour=colour, anchor="ms", bold=this)
    canvas.text((middle, floor + 18), study.name, size=13, colour=colour, anchor="ms")
    canvas.text((middle, floor + 35), study.note, size=13, colour=FAINT, anchor="ms")


def notes(
    canvas: Canvas, place: Place, head: str, texts: Sequence[tuple[str, Colour]], most: int
) -> None:
    """Write sentences one below the other, in at most `most` lines.

    Where there are more, the last line refers to the report.
    """
    label(canvas, place, head)
    lines = [
        (line, colour) for text, colour in texts for line in wrapped(text, LABEL, place.width, 2)
    ]
    if len(lines) > most:
        lines = [*lines[: most - 1], ("More in the report.", AMBER)]
    y = place.top + 38
    for line, colour in lines:
        y = canvas.lines((place.left, y), [line], size=LABEL, colour=colour)
