"""The summary page as a list of what is drawn, for a person to read; and the pages that are held.

``python -m tests.support.recorded_page`` writes the list anew after the page was changed on
purpose: read the difference before you commit it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from pipeline.decision import without_lesions
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in
from pipeline.encode.page import canvas
from pipeline.encode.page.canvas import Canvas, Colour, Point, Rgb
from pipeline.encode.page.layout import draw_page
from pipeline.encode.page.pdf_canvas import ON_PAPER
from pipeline.encode.result.context import ResultContext
from pipeline.low_attenuation import LowAttenuation
from pipeline.types import (
    Analysis,
    Completeness,
    CtSeries,
    Doubt,
    Involvement,
    PredictionSet,
    ScoreClass,
    Side,
    Unreported,
)
from tests.support.samples.encode_samples import (
    SeriesSpec,
    analysis,
    context,
    ct_series,
    lesion,
    prior,
)

HELD = Path(__file__).with_name("samples") / "recorded_pages.txt"
NAMES = {
    getattr(canvas, name): name
    for name in ("GROUND", "PANEL", "RULE", "FAINT", "PLAIN", "STRONG", "AMBER", "BLUE")
}


class RecordingCanvas(Canvas):
    """Notes what is drawn, a line each; places and sizes in whole points."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def text(
        self,
        place: Point,
        text: str,
        *,
        size: float,
        colour: Colour = canvas.PLAIN,
        anchor: str = "ls",
        bold: bool = False,
    ) -> None:
        weight = " bold" if bold else ""
        self.drawn.append(
            f"text {_at(place)} {anchor} {size:.1f}{weight} {_name(colour)}: {text}".rstrip()
        )

    def box(
        self,
        corner: Point,
        opposite: Point,
        *,
        fill: Colour | None = None,
        outline: Colour | None = None,
        radius: float = 0,
    ) -> None:
        look = [f"filled {_name(fill)}"] if fill is not None else []
        look += [f"framed {_name(outline)}"] if outline is not None else []
        round_ = f" round {radius:g}" if radius else ""
        self.drawn.append(f"box {_at(corner)} to {_at(opposite)}{round_} {' '.join(look)}")

    def line(
        self, start: Point, end: Point, *, colour: Colour = canvas.RULE, width: float = 1
    ) -> None:
        self.drawn.append(f"line {_at(start)} to {_at(end)} {width:g} wide {_name(colour)}")

    def picture(self, corner: Point, picture: Rgb) -> None:
        rows, columns, _ = picture.shape
        self.drawn.append(f"picture {_at(corner)} of {columns} x {rows} pixels")


def _at(place: Point) -> str:
    return f"{place[0]:.0f},{place[1]:.0f}"


def _name(colour: Colour) -> str:
    return NAMES.get(colour) or _hex(colour)


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


Page = tuple[CtSeries, Analysis, ResultContext, Language]


def pages() -> dict[str, Page]:
    """Pages that show all that a page may show, by what they are."""
    return {
        "with opacities": (*_positive(), Language.ENGLISH),
        "with changes": (*_changes(), Language.ENGLISH),
        "doubtful": (*_doubtful(), Language.ENGLISH),
        "with long words": (*_long_words(), Language.FRENCH),
    }


def _positive() -> tuple[CtSeries, Analysis, ResultContext]:
    """More opacities than rows, small ones, a course of more studies than bars, a revision."""
    labels = np.zeros(SeriesSpec().shape, np.uint8)
    lesions = []
    for number in range(1, 13):
        row = 6 if number in {1, 4, 7} else 2 + 4 * (number % 4)
        column = 3 if number == 4 else 1 + number  # so close to the first that it has no number
        labels[number % 3 + 1, row : row + 2, column] = number
        volume = 12_340.0 / number if number < 11 else 35.0 * number
        lesions.append(
            lesion(
                number,
                (Side.RIGHT, Side.LEFT)[number % 2],
                volume_mm3=volume,
                mean_hu=-500.0 + 10 * number,
                key_slice=number % 3 + 1,
                long_axis_mm=40.4 - number if number % 3 else None,
            )
        )
    found = replace(
        analysis(lesion_labels=labels, lesions=tuple(lesions)),
        low_attenuation=LowAttenuation(right_ml=101.2, left_ml=40.0),
    )
    priors = tuple(
        prior(
            study_date=date(2026, month, 1),
            total=share,
            model="DeCoVNet 1.0.0" if month % 2 else "Another 2.0",
        )
        for month, share in ((10, 0.02), (9, 0.0), (8, None), (7, 0.12), (6, 0.4))
    )
    return ct_series(), found, context(generation=3, priors=priors)


def _changes() -> tuple[CtSeries, Analysis, ResultContext]:
    """Called negative with changes that are not outlined; the score is certain; one lung."""
    found = without_lesions(analysis(score=0.12))
    certain = PredictionSet(coverage=0.9, classes=(ScoreClass.NEGATIVE,))
    found = replace(
        found,
        unreported=Unreported(share=0.033, largest_ml=12.3, voxel=(1, 5, 5)),
        classification=replace(found.classification, prediction_set=certain),
        involvement=Involvement(right_ml=2100, left_ml=0, right=0.0, left=None, total=0.0),
    )
    return ct_series(StudyDate=""), found, context()


def _doubtful() -> tuple[CtSeries, Analysis, ResultContext]:
    """More doubts than lines, a series that is incomplete, a score close to the threshold."""
    series = ct_series()
    geometry = replace(
        series.geometry, completeness=Completeness.INCOMPLETE, statement="two slices are missing"
    )
    found = without_lesions(analysis(score=0.4999))
    doubts = tuple(Doubt(code=f"code-{n}", text=f"doubt number {n}") for n in range(6))
    return replace(series, geometry=geometry), replace(found, doubts=doubts), context()


def _long_words() -> tuple[CtSeries, Analysis, ResultContext]:
    """Names, sentences and figures that are cut, wrapped or made smaller, each where it stands."""
    first = lesion(1, volume_mm3=952.0, consolidation_mm3=300.0)
    found = analysis(lesions=(first,), score=0.9699996)
    called = replace(found.classification, threshold=0.9699999, operating_point="chosen " * 12)
    named = replace(found.provenance, model_name="a model of a long name " * 12)
    doubts = (Doubt(code="code", text="a doubt that needs many words " * 16),)
    labels = np.minimum(found.lesion_labels, 1)
    found = replace(
        found, classification=called, provenance=named, doubts=doubts, lesion_labels=labels
    )
    return ct_series(), found, context(generation=12_345)


def recorded() -> str:
    """List the colours, on the screen and on paper, and what is drawn on each of the pages."""
    colours = (
        f"{name} {_hex(colour)} on paper {_hex(ON_PAPER[colour])}" for colour, name in NAMES.items()
    )
    parts = ["\n".join(["== colours", *colours, ""])]
    for name, (series, found, result, language) in pages().items():
        recording = RecordingCanvas()
        with writing_in(language):
            draw_page(recording, series, found, result)
        parts.append("\n".join([f"== {name}", *recording.drawn, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    HELD.write_text(recorded(), encoding="utf-8")
