"""Blocks of the summary page: score, involvement, opacities, comparison, notes.

A block is drawn from its place downwards. Amber asks for attention, blue does not; there is no red
and no green: the page judges nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.encode.common import sentences
from pipeline.encode.language.translation import _, ngettext
from pipeline.encode.page.canvas import (
    AMBER,
    BLUE,
    FAINT,
    GROUND,
    PANEL,
    PLAIN,
    RULE,
    STRONG,
    Canvas,
    Colour,
    fitting_size,
    shrunk,
    text_width,
    wrapped,
)
from pipeline.types import Analysis, Answer, Lesion

MOST_ROWS = 8  #: opacities in the table
MOST_ROWS_WHEN_NEGATIVE = 4  #: fewer, for what was not assessed stands below them
SMALL_ML = 1.0
"""Opacities below this volume, ml, as it is shown, have no row: specks hide what is large."""
MOST_BARS = 5  #: studies in the comparison, this one included
QUARTERS = (0.25, 0.5, 0.75)
ANSWER_COLOURS = {Answer.ABOVE: AMBER, Answer.INDETERMINATE: PLAIN, Answer.BELOW: BLUE}

LABEL, BODY, SMALL = 14.0, 15.5, 12.5  #: text sizes, points
ALERT = 15.5  #: text size beside the decision, points
NAMES = 136.0  #: width of the names of the lungs, points
ROW = 24.5  #: height of a row of the table, points
SIDES, CELL = 66.0, 98.0  #: widths of the sides, and of each number, in a row, points
FIGURE = 72.0  #: text size of the score, points
WIDEST_FIGURE = 300.0  #: of the score, points; it is smaller where it has many decimals


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
    shown, size = shrunk(text.upper(), SMALL, place.width, bold=True)
    canvas.text((place.left, place.top + SMALL), shown, size=size, colour=FAINT, bold=True)
    start = place.left + text_width(shown, size, bold=True) + 12
    canvas.line((start, place.top + SMALL / 2 + 2), (place.right, place.top + SMALL / 2 + 2))


def score(canvas: Canvas, place: Place, found: Analysis) -> None:
    """Draw the score, the decision, and its place on the scale from 0 to 1."""
    called = found.classification
    colour = ANSWER_COLOURS[called.answer]
    figure = sentences.number(called.score, sentences.digits_of(called))
    size = fitting_size(figure, FIGURE, WIDEST_FIGURE, bold=True)
    label(canvas, place, _("COVID-19 classifier: score"))
    canvas.text((place.left, place.top + 88), figure, size=size, colour=STRONG, bold=True)
    left = place.left + text_width(figure, size, bold=True) + 22
    words = sentences.beginning(sentences.decision(called))
    lines = wrapped(words, 19, place.right - left, 3, bold=True)
    top = place.top + 76 - 12.5 * (len(lines) - 1)
    if found.unreported is not None:
        alert, fitting = shrunk(sentences.changes_alert(), ALERT, place.right - left, bold=True)
        last = place.top + 95  # above the line on the certainty
        canvas.text((left, last), alert, size=fitting, colour=AMBER, bold=True)
        top = min(top, last - 20 - 25 * (len(lines) - 1))
    canvas.lines((left, top), lines, size=19, colour=colour, bold=True)
    if certainty := sentences.beginning(sentences.certainty_words(found)):
        shown, size = shrunk(certainty, LABEL, place.width)
        canvas.text((place.left, place.top + 116), shown, size=size)
    _scale(canvas, Place(left=place.left, top=place.top + 130, width=place.width), found, colour)


def _scale(canvas: Canvas, place: Place, found: Analysis, colour: Colour) -> None:
    """Draw the bar of the score, with a mark across it at each bound."""
    called = found.classification
    top, bottom = place.top, place.top + 16
    low = called.indeterminate_from
    bounds = [called.threshold] if low is None else [low, called.threshold]
    marks = [place.left + place.width * bound for bound in bounds]
    canvas.box((place.left, top), (place.right, bottom), fill=RULE, radius=3)
    filled = place.left + max(4.0, place.width * called.score)
    canvas.box((place.left, top), (filled, bottom), fill=colour, radius=3)
    for mark in marks:
        canvas.box((mark - 3, top - 7), (mark + 3, bottom + 7), fill=GROUND)
        canvas.box((mark - 1.5, top - 7), (mark + 1.5, bottom + 7), fill=STRONG)
    if len(marks) > 1:  # a line below joins the two
        canvas.line((marks[0], bottom + 6), (marks[-1], bottom + 6), colour=STRONG)
    text, size = shrunk(sentences.bounds(called), LABEL, place.width - 60)
    half = text_width(text, size) / 2
    middle = min(max(sum(marks) / len(marks), place.left + 24 + half), place.right - 24 - half)
    canvas.text((middle, bottom + 24), text, size=size, colour=PLAIN, anchor="ms")
    canvas.text((place.left, bottom + 24), "0", size=LABEL, colour=FAINT)
    canvas.text((place.right, bottom + 24), "1", size=LABEL, colour=FAINT, anchor="rs")


def involvement(canvas: Canvas, place: Place, analysis: Analysis) -> None:
    """Draw the shares of the lungs, and of both, on a scale of the whole lung."""
    found = analysis.involvement
    label(canvas, place, _("Share of the lungs taken by opacities"))
    both = found.right_ml and found.left_ml
    rows = (
        (_("Right lung"), found.right, found.right_ml),
        (_("Left lung"), found.left, found.left_ml),
        (_("Both lungs") if both else _("Together"), found.total, found.total_ml),
    )
    names = [name for name, _share_of, _volume in rows]
    size = min(fitting_size(name, BODY, NAMES - 8, bold=name == names[-1]) for name in names)
    for number, (name, share, volume) in enumerate(rows):
        top = place.top + 26 + 29 * number
        total = number == len(rows) - 1
        canvas.text((place.left, top + 17), name, size=size, bold=total)
        if not volume:
            missing = _("not told apart") if found.open_ml else _("not found")
            canvas.text((place.left + NAMES, top + 17), missing, size=BODY, colour=FAINT)
            continue
        bar = Place(left=place.left + NAMES, top=top, width=place.width - NAMES - 108)
        _share(canvas, bar, share, total)
        of = _("of {volume} ml", volume=sentences.number(volume, 0))
        of_size = fitting_size(of, LABEL, 100)
        canvas.text((place.right, top + 17), of, size=of_size, colour=FAINT, anchor="rs")
    measured = (sentences.content_sentence(analysis), sentences.low_attenuation_sentence(analysis))
    lines = [shrunk(line, SMALL, place.width) for line in filter(None, measured)]
    for number, (shown, size) in enumerate(lines):
        canvas.text((place.left, place.top + 123 + 15 * number), shown, size=size)


def _share(canvas: Canvas, place: Place, share: float | None, total: bool) -> None:
    """Draw bar and figure; only words where there is no figure: an empty bar would read as none."""
    shown, y = sentences.percent(share), place.top + 17
    if not share:
        canvas.text((place.left, y), shown, size=BODY, colour=FAINT)
        return
    _bar(canvas, Place(left=place.left, top=place.top, width=place.width - 74), share)
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
    label(canvas, place, _("Opacities ({n})", n=len(lesions)) if lesions else _("Opacities"))
    if not lesions:
        _without_opacities(canvas, place, found)
        return
    small = [lesion for lesion in lesions if _is_small(lesion)]
    large = [lesion for lesion in lesions if not _is_small(lesion)]
    heads = (_("side"), _("volume"), _("long axis"), _("mean"), _("image"))
    _row(canvas, place, 0, heads, FAINT)
    most = MOST_ROWS if found.classification.positive else MOST_ROWS_WHEN_NEGATIVE
    for number, lesion in enumerate(large[:most], start=1):
        _lesion(canvas, place, number, lesion, colours[lesion.number], images[lesion.number])
    row = min(len(large), most) + 1
    for text in filter(None, (_more(large[most:]), _small(small))):
        shown, size = shrunk(text, LABEL, place.width - 50)
        y = place.top + 40 + ROW * row
        canvas.text((place.left + 50, y), shown, size=size, colour=FAINT)
        row += 1
    if not found.classification.positive:
        below = Place(left=place.left, top=place.top + 40 + ROW * row, width=place.width)
        _not_assessed(canvas, below)


def _not_assessed(canvas: Canvas, place: Place) -> None:
    """Say prominently what was not assessed: where the score is negative, that is most of all."""
    lines = wrapped(_(sentences.NOT_ASSESSED), BODY, place.width, 5)
    canvas.lines((place.left, place.top), lines, size=BODY, colour=STRONG)


def _is_small(lesion: Lesion) -> bool:
    """Say whether a volume as it is shown is below the bound: 0.96 ml is shown as 1.0 ml."""
    return round(lesion.volume_mm3 / 1000, 1) < SMALL_ML


def _without_opacities(canvas: Canvas, place: Place, found: Analysis) -> None:
    """Say why there is no table, and first of all if there are changes all the same."""
    y = place.top + 42
    if found.unreported is not None:
        y = _changes(canvas, Place(left=place.left, top=place.top + 28, width=place.width), found)
    lines = wrapped(sentences.involvement_sentence(found), BODY, place.width, 3)
    y = canvas.lines((place.left, y), lines, size=BODY)
    _not_assessed(canvas, Place(left=place.left, top=y + 12, width=place.width))


def _changes(canvas: Canvas, place: Place, found: Analysis) -> float:
    """Draw the box that says that there are changes; give the base line of what follows."""
    inner = place.width - 32
    head = wrapped(sentences.changes(found), 17, inner, 3, bold=True)
    figures = wrapped(sentences.changes_figures(found), LABEL, inner, 3)
    height = 20 + 17 * 1.32 * len(head) + LABEL * 1.32 * len(figures)
    bottom = place.top + height
    canvas.box((place.left, place.top), (place.right, bottom), outline=AMBER, radius=6)
    y = canvas.lines((place.left + 16, place.top + 27), head, size=17, colour=AMBER, bold=True)
    canvas.lines((place.left + 16, y), figures, size=LABEL, colour=STRONG)
    return bottom + 32


def _lesion(
    canvas: Canvas, place: Place, row: int, lesion: Lesion, colour: Colour, image: str
) -> None:
    y = place.top + 40 + ROW * row
    canvas.box((place.left, y - 16), (place.left + 30, y + 5), outline=colour, fill=PANEL, radius=4)
    middle = (place.left + 15, y - 1)
    canvas.text(middle, str(lesion.number), size=LABEL, colour=STRONG, anchor="ms", bold=True)
    values = (
        sentences.side_of(lesion),
        sentences.millilitres(lesion.volume_mm3),
        _long_axis(lesion),
        _("{value} HU", value=sentences.number(lesion.mean_hu, 0)),
        image,
    )
    _row(canvas, place, row, values, PLAIN)


def _long_axis(lesion: Lesion) -> str:
    return "-" if lesion.long_axis_mm is None else f"{lesion.long_axis_mm:.0f} mm"


def _row(canvas: Canvas, place: Place, row: int, values: Sequence[str], colour: Colour) -> None:
    """Write the side at the left, the numbers flush right in columns of their own."""
    y = place.top + 40 + ROW * row
    side, *numbers = values
    shown, size = shrunk(side, LABEL, SIDES)
    canvas.text((place.left + 50, y), shown, size=size, colour=colour)
    for share, value in zip((0.42, 0.62, 0.82, 1.0), numbers, strict=True):
        x = place.left + share * place.width
        shown, size = shrunk(value, LABEL, CELL)
        canvas.text((x, y), shown, size=size, colour=colour, anchor="rs")


def _more(rest: Sequence[Lesion]) -> str:
    if not rest:
        return ""
    return ngettext(
        "{n} more, {volume}: see the report",
        "{n} more, {volume} together: see the report",
        len(rest),
        volume=sentences.millilitres(sum(lesion.volume_mm3 for lesion in rest)),
    )


def _small(rest: Sequence[Lesion]) -> str:
    if not rest:
        return ""
    return ngettext(
        "{n} smaller than {least} ml, {volume}",
        "{n} smaller than {least} ml, {volume} together",
        len(rest),
        least=sentences.number(SMALL_ML, 0),
        volume=sentences.millilitres(sum(lesion.volume_mm3 for lesion in rest)),
    )


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
    A share that is not reported has no bar, nor has none.
    """
    label(canvas, place, _("Course: share of both lungs"))
    shown = studies[-MOST_BARS:]
    step, height, floor = place.width / len(shown), 32.0, place.top + 72
    highest = max(study.share or 0.0 for study in shown) or 1.0
    for number, study in enumerate(shown):
        middle = place.left + step * (number + 0.5)
        this = number == len(shown) - 1
        _study(canvas, (middle, floor), study, height / highest, step - 8, this=this)


def _study(
    canvas: Canvas,
    foot: tuple[float, float],
    study: Study,
    scale: float,
    width: float,
    *,
    this: bool,
) -> None:
    middle, floor = foot
    top, colour = floor, STRONG if this else PLAIN
    if study.share:
        top -= max(2.0, scale * study.share)
        canvas.box((middle - 16, top), (middle + 16, floor), fill=AMBER if this else FAINT)
    for y, words, size, shade, bold in (
        (top - 5, sentences.percent(study.share), SMALL, colour, this),
        (floor + 15, study.name, 12, colour, False),
        (floor + 30, study.note, 12, FAINT, False),
    ):
        shown, fitting = shrunk(words, size, width, bold=bold)
        canvas.text((middle, y), shown, size=fitting, colour=shade, anchor="ms", bold=bold)


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
        lines = [*lines[: most - 1], (_("More in the report."), AMBER)]
    y = place.top + 34
    for line, colour in lines:
        y = canvas.lines((place.left, y), [line], size=LABEL, colour=colour)
