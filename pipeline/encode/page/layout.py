"""Lay out the summary page: one result on one page, for a radiologist.

Score against threshold, involvement, the largest opacities, two key images, the comparison with
earlier results, doubts, and the limits of use; nothing of the patient's identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.common import sentences
from pipeline.encode.common.segments import REMAINING_COLOUR, segments
from pipeline.encode.page import blocks, views
from pipeline.encode.page.blocks import AMBER, Place, Study
from pipeline.encode.page.canvas import (
    FAINT,
    GROUND,
    PANEL,
    PLAIN,
    RULE,
    SCALE,
    STRONG,
    Canvas,
    Colour,
    fitted,
    text_width,
)
from pipeline.encode.page.views import View
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source import source_slices
from pipeline.encode.source.key_slices import key_slice, widest_slice
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
TITLE = "AI summary of a chest CT"
LIMITS = (
    "The score is a model's output, not a diagnosis. Opacities have many causes; small or faint "
    "ones may be missed. Read the images."
)


def page(series: CtSeries, analysis: Analysis, context: ResultContext) -> Rgb:
    """Draw the page.

    Returns
    -------
    NDArray
        ``(1920, 2560, 3)``: `SCALE` pixels to a point, for print; reduced by it for a screen.
    """
    canvas = Canvas(WIDTH, HEIGHT)
    slices = source_slices.real_slices(series)
    colours = _colours(analysis, slices, context.key)
    _head(canvas, series, context)
    _figures(canvas, analysis, colours, slices)
    _views(canvas, series, analysis, colours, slices)
    _foot(canvas, series, analysis, context)
    return canvas.pixels()


def _colours(analysis: Analysis, slices: tuple[SourceSlice, ...], key: str) -> Mapping[int, Colour]:
    """RGB by the number of an opacity: the colour of its segment."""
    colours = dict.fromkeys((lesion.number for lesion in analysis.lesions), REMAINING_COLOUR)
    for segment in segments(analysis, tuple(item.index for item in slices), key):
        colours |= {lesion.number: segment.colour for lesion in segment.lesions}
    return colours


def _head(canvas: Canvas, series: CtSeries, context: ResultContext) -> None:
    canvas.box((0, 0), (WIDTH, 76), fill=PANEL)
    canvas.text((EDGE, 36), TITLE, size=27, colour=STRONG, bold=True)
    if context.generation > 1:
        revision = f"revision {context.generation}, replaces an earlier result"
        canvas.text((EDGE + text_width(TITLE, 27) + 24, 36), revision, size=17, colour=STRONG)
    read = f"Study of {_study_date(series) or 'unknown date'}, {picture_name(series.common.header)}"
    canvas.text((EDGE, 61), fitted(read, 17, 800), size=17)
    left, right = WIDTH - EDGE - 330, WIDTH - EDGE
    canvas.box((left, 14), (right, 62), outline=AMBER, radius=6)
    middle = (left + right) / 2
    canvas.text(
        (middle, 35), "AI RESULT - RESEARCH USE ONLY", size=17, colour=AMBER, anchor="ms", bold=True
    )
    canvas.text((middle, 54), "not for primary diagnosis", size=15, colour=AMBER, anchor="ms")


def _figures(
    canvas: Canvas,
    analysis: Analysis,
    colours: Mapping[int, Colour],
    slices: tuple[SourceSlice, ...],
) -> None:
    keys = {lesion.number: key_slice(analysis, (lesion,), slices) for lesion in analysis.lesions}
    images = {number: image_number(item) if item else "-" for number, item in keys.items()}
    blocks.score(canvas, LEFT, analysis.classification)
    below = Place(left=LEFT.left, top=294, width=LEFT.width)
    blocks.involvement(canvas, below, analysis.involvement)
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
    """Image of the opacity in the first row of the table, else of most lung; and its caption."""
    first = tuple(sorted(analysis.lesions, key=lambda lesion: lesion.number)[:1])
    item = key_slice(analysis, first, slices) if first else None
    shown = widest_slice(slices, analysis.lungs.labels > 0) if item is None else item
    opacity = () if item is None else (f"Opacity {first[0].number}",)
    return shown, ("Axial", *opacity, f"CT image {image_number(shown)}")


def _views(
    canvas: Canvas,
    series: CtSeries,
    analysis: Analysis,
    colours: Mapping[int, Colour],
    slices: tuple[SourceSlice, ...],
) -> None:
    size = int(SCALE * (RIGHT.width - 200)), int(SCALE * VIEW_HEIGHT)
    shown, caption = key_image(analysis, slices)
    axial = views.axial(series.volume, analysis, shown.index, colours, size)
    coronal = views.coronal(series.volume, analysis, colours, size)
    _view(canvas, RIGHT.top, axial, caption, colours)
    _view(canvas, RIGHT.top + VIEW_HEIGHT + 16, coronal, ("Coronal", "reformatted"), colours)


def _view(
    canvas: Canvas,
    top: float,
    view: View,
    caption: tuple[str, ...],
    colours: Mapping[int, Colour],
) -> None:
    """Draw a picture in the middle of a black field, with its name, sides and numbers."""
    name, *lines = caption
    canvas.box((RIGHT.left, top), (RIGHT.right, top + VIEW_HEIGHT), fill=(0, 0, 0))
    rows, columns = (length / SCALE for length in view.picture.shape[:2])
    left, upper = RIGHT.left + (RIGHT.width - columns) / 2, top + (VIEW_HEIGHT - rows) / 2
    canvas.picture((left, upper), view.picture)
    canvas.text((RIGHT.left + 12, top + 26), name, size=17, colour=STRONG, bold=True)
    canvas.lines((RIGHT.left + 12, top + 47), lines, size=14, colour=FAINT)
    middle = top + VIEW_HEIGHT / 2
    canvas.text((left - 14, middle), "R", size=22, colour=PLAIN, anchor="rm", bold=True)
    canvas.text((left + columns + 14, middle), "L", size=22, colour=PLAIN, anchor="lm", bold=True)
    _numbers(canvas, view, (left, upper), colours)


def _numbers(
    canvas: Canvas, view: View, corner: tuple[float, float], colours: Mapping[int, Colour]
) -> None:
    """Write the numbers of the opacities in the table beside them, unless one stands there."""
    taken: list[tuple[float, float]] = []
    for number, (column, row) in view.places:
        x, y = corner[0] + column / SCALE + 9, corner[1] + row / SCALE - 3
        free = all(abs(x - other[0]) > 22 or abs(y - other[1]) > 20 for other in taken)
        if number > blocks.MOST_ROWS or not free:
            continue
        taken.append((x, y))
        half = text_width(str(number), 15) / 2 + 4
        canvas.box((x - half, y - 10), (x + half, y + 10), fill=GROUND, radius=3)
        canvas.text(
            (x, y + 1), str(number), size=15, colour=colours[number], anchor="mm", bold=True
        )


def _foot(canvas: Canvas, series: CtSeries, analysis: Analysis, context: ResultContext) -> None:
    place = Place(left=EDGE, top=756, width=WIDTH - 2 * EDGE)
    if context.priors:
        blocks.comparison(
            canvas,
            Place(left=RIGHT.left + 200, top=place.top, width=RIGHT.width - 200),
            _studies(series, analysis, context),
        )
        place = Place(left=EDGE, top=place.top, width=RIGHT.left + 160 - EDGE)
    blocks.notes(canvas, place, "Series and doubts", tuple(_notes(series, analysis)), 5)
    canvas.line((EDGE, HEIGHT - 60), (WIDTH - EDGE, HEIGHT - 60), colour=RULE)
    made = f"Model {sentences.model_line(analysis.provenance)}; software "
    made += sentences.ascii_text(analysis.provenance.software_version)
    ends = (f"{sentences.RESEARCH_NOTICE} {LIMITS}", made)
    lines = [fitted(line, 14, WIDTH - 2 * EDGE) for line in ends]
    canvas.lines((EDGE, HEIGHT - 37), lines, size=14, colour=FAINT)


def _notes(series: CtSeries, analysis: Analysis) -> Iterator[tuple[str, Colour]]:
    whole = series.geometry.completeness is not Completeness.INCOMPLETE
    yield sentences.completeness_sentence(series), PLAIN if whole else AMBER
    doubts = dict.fromkeys((*analysis.doubts, *analysis.lungs.doubts))
    for doubt in doubts:
        yield sentences.ascii_text(f"{_words(doubt.code)}: {doubt.text}."), AMBER
    explained = {doubt.code for doubt in doubts}
    flags = dict.fromkeys((*analysis.flags, *analysis.lungs.flags))
    for code in flags:
        if code not in explained:
            yield sentences.ascii_text(f"{_words(code)}."), AMBER
    if not flags:
        yield "No flag raised.", FAINT


def _words(code: str) -> str:
    return code.replace("-", " ").capitalize()


def _studies(series: CtSeries, analysis: Analysis, context: ResultContext) -> tuple[Study, ...]:
    """Earlier studies from the oldest on, then this one."""
    model = sentences.model_key(analysis.provenance)
    earlier = tuple(
        Study(
            name=prior.study_date.isoformat(),
            share=prior.total,
            note=_score(prior.score) if prior.model == model else "other model",
        )
        for prior in reversed(context.priors)
    )
    this = Study(
        name=_study_date(series) or "this study",
        share=analysis.involvement.total,
        note=_score(analysis.classification.score),
    )
    return *earlier, this


def _score(score: float) -> str:
    return f"score {sentences.number(score, 2)}"


def _study_date(series: CtSeries) -> str:
    """Study Date as ``YYYY-MM-DD``; empty where the source has none that can be read."""
    day = calendar_date(text(series.common.header, "StudyDate"))
    return day.isoformat() if day else ""
