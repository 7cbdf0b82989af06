"""Lay out the summary page: one result on one page, for a radiologist.

Score against threshold, involvement, the largest opacities, two key images, the comparison with
earlier results, doubts, and the limits of use; nothing of the patient's identity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.common import sentences
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS, REMAINING_COLOUR, segments
from pipeline.encode.language.translation import _, current_language, writing_in
from pipeline.encode.language.translation import day as written_day
from pipeline.encode.page import blocks, views
from pipeline.encode.page.blocks import Place, Study
from pipeline.encode.page.canvas import (
    AMBER,
    FAINT,
    PANEL,
    PLAIN,
    RULE,
    SCALE,
    STRONG,
    Canvas,
    Colour,
    PixelCanvas,
    fitting_size,
    shrunk,
    text_width,
    wrapped,
)
from pipeline.encode.page.views import View
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source import source_slices
from pipeline.encode.source.key_slices import key_slice, middle_slice, nearest_slice
from pipeline.encode.source.series_name import picture_name
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.series.attributes import calendar_date, text
from pipeline.types import Analysis, Completeness, CtSeries

Rgb = NDArray[np.uint8]

WIDTH, HEIGHT = 1280, 960  #: points; fits the smallest viewport without scrolling
EDGE = 40.0
LEFT = Place(left=EDGE, top=96, width=520)
RIGHT = Place(left=600, top=96, width=640)
VIEW_HEIGHT = 310.0
BLACK, WHITE, GREY = (0, 0, 0), (254, 254, 254), (160, 168, 176)
"""On a view: the same on the screen and on paper, where the page is white."""
NUMBER_STEPS = 12  #: of 6 points, to each side, in which a free place of a number is looked for
CAPTION_WIDTH = 150.0  #: beside a view, points
TITLE = "AI summary of a chest CT"
LIMITS = (
    "The score is a model's output, not a diagnosis. Opacities have many causes; small or faint "
    "ones may be missed. Read the images."
)


def page(series: CtSeries, analysis: Analysis, context: ResultContext) -> Rgb:
    """Draw the page as pixels.

    Returns
    -------
    NDArray
        ``(1920, 2560, 3)``: `SCALE` pixels to a point; reduced by it for a screen.
    """
    canvas = PixelCanvas(WIDTH, HEIGHT)
    draw_page(canvas, series, analysis, context)
    return canvas.pixels()


def draw_page(canvas: Canvas, series: CtSeries, analysis: Analysis, context: ResultContext) -> None:
    """Draw the page on a surface of `WIDTH` and `HEIGHT`.

    The letters of the language are drawn whatever the character set of the result.
    """
    slices = source_slices.real_slices(series)
    colours = _colours(analysis, slices, context.key)
    with writing_in(current_language()):
        _head(canvas, series, context)
        _figures(canvas, analysis, colours, slices)
        _views(canvas, series, analysis, colours, slices)
        _foot(canvas, series, analysis, context)


def _colours(analysis: Analysis, slices: tuple[SourceSlice, ...], key: str) -> Mapping[int, Colour]:
    """RGB by the number of an opacity: the colour of its segment."""
    colours = dict.fromkeys((lesion.number for lesion in analysis.lesions), REMAINING_COLOUR)
    for segment in segments(analysis, tuple(item.index for item in slices), key):
        colours |= {lesion.number: segment.colour for lesion in segment.lesions}
    return colours


def _head(canvas: Canvas, series: CtSeries, context: ResultContext) -> None:
    canvas.box((0, 0), (WIDTH, 76), fill=PANEL)
    title = _(TITLE)
    canvas.text((EDGE, 36), title, size=23, colour=STRONG, bold=True)
    left, right = WIDTH - EDGE - 330, WIDTH - EDGE
    if context.generation > 1:
        start = EDGE + text_width(title, 23, bold=True) + 20
        revision = _("revision {n}, replaces an earlier result", n=context.generation)
        size = fitting_size(revision, 15, left - 20 - start)
        canvas.text((start, 36), revision, size=size, colour=STRONG)
    read = _(
        "Study of {date}, {series}",
        date=_study_date(series) or _("unknown date"),
        series=picture_name(series.common.header),
    )
    shown, size = shrunk(read, 15, left - 20 - EDGE)
    canvas.text((EDGE, 61), shown, size=size)
    canvas.box((left, 14), (right, 62), outline=AMBER, radius=6)
    middle = (left + right) / 2
    for y, words, largest, bold in (
        (35, _("AI RESULT - RESEARCH USE ONLY"), 15, True),
        (54, _("not for primary diagnosis"), 13, False),
    ):
        size = fitting_size(words, largest, right - left - 20, bold=bold)
        canvas.text((middle, y), words, size=size, colour=AMBER, anchor="ms", bold=bold)


def _figures(
    canvas: Canvas,
    analysis: Analysis,
    colours: Mapping[int, Colour],
    slices: tuple[SourceSlice, ...],
) -> None:
    keys = {lesion.number: key_slice(analysis, (lesion,), slices) for lesion in analysis.lesions}
    images = {number: image_number(item) if item else "-" for number, item in keys.items()}
    blocks.score(canvas, LEFT, analysis)
    below = Place(left=LEFT.left, top=294, width=LEFT.width)
    blocks.involvement(canvas, below, analysis)
    table = Place(left=LEFT.left, top=444, width=LEFT.width)
    blocks.opacities(canvas, table, analysis, colours, images)


def image_number(item: SourceSlice) -> str:
    """Name an image as a viewer does: number of the instance, or frame."""
    if item.frame.frame_number is not None:
        return str(item.frame.frame_number)
    number = source_slices.instance_number(item)
    return "-" if number is None else str(number)


def key_image(
    analysis: Analysis, slices: tuple[SourceSlice, ...]
) -> tuple[SourceSlice, tuple[str, ...]]:
    """Choose the axial slice, and name it with the reason for the choice.

    It is that of the first opacity; else of the weightiest change, where changes are named; else
    the one at half the height of the lungs. The one with most lung lies just above the diaphragm,
    and shows the dome of the liver.
    """
    first = tuple(sorted(analysis.lesions, key=lambda lesion: lesion.number)[:1])
    item = key_slice(analysis, first, slices) if first else None
    if item is not None:
        reason = _("opacity {n} at its largest", n=first[0].number)
    elif analysis.unreported is not None:
        most = analysis.unreported.voxel[0]
        item = nearest_slice(slices, most)
        reason = _("change at its largest, not outlined")
    else:
        item = middle_slice(slices, analysis.lungs.labels)
        reason = _("slice at half the height of the lungs")
    return item, (_("Axial"), _("CT image {n}", n=image_number(item)), reason)


def _views(
    canvas: Canvas,
    series: CtSeries,
    analysis: Analysis,
    colours: Mapping[int, Colour],
    slices: tuple[SourceSlice, ...],
) -> None:
    size = int(SCALE * (RIGHT.width - CAPTION_WIDTH - 60)), int(SCALE * VIEW_HEIGHT)
    shown, caption = key_image(analysis, slices)
    axial = views.axial(series.volume, analysis, shown.index, colours, size)
    coronal = views.coronal(series.volume, analysis, colours, size)
    plane = _coronal_reason(analysis)
    _view(canvas, RIGHT.top, axial, caption, colours)
    caption = (_("Coronal"), _("reformatted"), plane)
    _view(canvas, RIGHT.top + VIEW_HEIGHT + 16, coronal, caption, colours)


def _coronal_reason(analysis: Analysis) -> str:
    if analysis.lesions:
        return _("plane with most opacity")
    if analysis.unreported is not None:
        return _("plane through the change, not outlined")
    return _("middle of the lungs")


def _view(
    canvas: Canvas,
    top: float,
    view: View,
    caption: tuple[str, ...],
    colours: Mapping[int, Colour],
) -> None:
    """Draw a picture in a black field, with its name and the reason for it, sides and numbers."""
    name, *texts = caption
    canvas.box((RIGHT.left, top), (RIGHT.right, top + VIEW_HEIGHT), fill=BLACK)
    rows, columns = (length / SCALE for length in view.picture.shape[:2])
    field = RIGHT.left + CAPTION_WIDTH
    left = field + (RIGHT.right - field - columns) / 2
    upper = top + (VIEW_HEIGHT - rows) / 2
    canvas.picture((left, upper), view.picture)
    canvas.text((RIGHT.left + 12, top + 26), name, size=16, colour=WHITE, bold=True)
    lines = [line for text in texts for line in wrapped(text, 12.5, CAPTION_WIDTH - 36, 4)]
    canvas.lines((RIGHT.left + 12, top + 47), lines, size=12.5, colour=GREY)
    middle = top + VIEW_HEIGHT / 2
    # radiology's letters of the sides, the same in every language (PS3.3 C.7.6.1.1.1)
    canvas.text((left - 10, middle), "R", size=20, colour=WHITE, anchor="rm", bold=True)
    canvas.text((left + columns + 10, middle), "L", size=20, colour=WHITE, anchor="lm", bold=True)
    _numbers(canvas, view, (left, upper), colours)


def _numbers(
    canvas: Canvas, view: View, corner: tuple[float, float], colours: Mapping[int, Colour]
) -> None:
    """Write the number of every opacity beside it, in the nearest place where none stands."""
    taken: list[tuple[float, float]] = []
    for number, (column, row) in view.places:
        if number > MAX_LESION_SEGMENTS:
            continue
        x, y = _free((corner[0] + column / SCALE + 9, corner[1] + row / SCALE - 3), taken)
        taken.append((x, y))
        half = text_width(str(number), 13, bold=True) / 2 + 4
        canvas.box((x - half, y - 10), (x + half, y + 10), fill=BLACK, radius=3)
        canvas.text((x, y), str(number), size=13, colour=colours[number], anchor="mm", bold=True)


def _free(place: tuple[float, float], taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Place nearest to the given one that is a number's width and height from those taken."""
    steps = range(-NUMBER_STEPS, NUMBER_STEPS + 1)
    places = ((place[0] + 6 * across, place[1] + 6 * down) for across in steps for down in steps)
    free = (
        one for one in places if all(abs(one[0] - x) > 22 or abs(one[1] - y) > 20 for x, y in taken)
    )
    return min(free, key=lambda one: math.dist(one, place), default=place)


def _foot(canvas: Canvas, series: CtSeries, analysis: Analysis, context: ResultContext) -> None:
    place = Place(left=EDGE, top=752, width=WIDTH - 2 * EDGE)
    if context.priors:
        blocks.comparison(
            canvas,
            Place(left=RIGHT.left + 160, top=place.top, width=RIGHT.width - 160),
            _studies(series, analysis, context),
        )
        place = Place(left=EDGE, top=place.top, width=RIGHT.left + 130 - EDGE)
    blocks.notes(canvas, place, _("Series and doubts"), tuple(_notes(series, analysis)), 4)
    canvas.line((EDGE, HEIGHT - 92), (WIDTH - EDGE, HEIGHT - 92), colour=RULE)
    limits = wrapped(f"{_(sentences.RESEARCH_NOTICE)} {_(LIMITS)}", 12.5, WIDTH - 2 * EDGE, 2)
    y = HEIGHT - 74.0
    if analysis.lesions and analysis.classification.positive:  # else it stands large above
        missed = wrapped(_(sentences.NOT_ASSESSED), 12.5, WIDTH - 2 * EDGE, 2)
        y = canvas.lines((EDGE, y), missed, size=12.5, colour=STRONG)
    y = canvas.lines((EDGE, y), limits, size=12.5, colour=FAINT)
    made = _(
        "Model {model}; software {version}",
        model=sentences.model_line(analysis.provenance),
        version=sentences.ascii_text(analysis.provenance.software_version),
    )
    shown, size = shrunk(made, 12.5, WIDTH - 2 * EDGE)
    canvas.text((EDGE, y), shown, size=size, colour=FAINT)


def _notes(series: CtSeries, analysis: Analysis) -> Iterator[tuple[str, Colour]]:
    whole = series.geometry.completeness is not Completeness.INCOMPLETE
    yield sentences.completeness_sentence(series), PLAIN if whole else AMBER
    if analysis.lesions:  # else it stands where the opacities would
        for changes in sentences.changes_sentences(analysis):
            yield changes, AMBER
    doubts = sentences.doubt_sentences(analysis)
    for doubt in doubts:
        yield doubt, AMBER
    if not doubts and analysis.unreported is None:
        yield _("No flag raised."), FAINT
    if whose := scanner_words(analysis.classification.scanner_bounds):
        yield whose, PLAIN
    for severity in sentences.lobes_sentences(analysis)[:1]:
        yield severity, PLAIN
    if affected := sentences.affected_lobes_sentence(analysis):
        yield affected, PLAIN


def _studies(series: CtSeries, analysis: Analysis, context: ResultContext) -> tuple[Study, ...]:
    """Earlier studies from the oldest on, then this one."""
    model = sentences.model_key(analysis.provenance)
    earlier = tuple(
        Study(
            name=written_day(prior.study_date),
            share=prior.total,
            note=_score(prior.score, prior.threshold) if prior.model == model else _("other model"),
        )
        for prior in reversed(context.priors)
    )
    this = Study(
        name=_study_date(series) or _("this study"),
        share=analysis.involvement.total,
        note=_score(analysis.classification.score, analysis.classification.threshold),
    )
    return *earlier, this


def _score(score: float, threshold: float) -> str:
    digits = sentences.telling_digits(score, threshold)
    return _("score {score}", score=sentences.number(score, digits))


def _study_date(series: CtSeries) -> str:
    """Study Date in the form of the language; empty where the source has none that can be read."""
    day = calendar_date(text(series.common.header, "StudyDate"))
    return written_day(day) if day else ""
