"""The summary page: what it shows, on which side, in which colours, and what it never shows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from pipeline.decision import SETS_POINT, without_lesions
from pipeline.encode.bundle import encode, part10
from pipeline.encode.common import sentences
from pipeline.encode.common.segments import LESION_COLOURS
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in
from pipeline.encode.page import blocks, canvas
from pipeline.encode.page.canvas import SCALE, PixelCanvas, text_width
from pipeline.encode.page.layout import HEIGHT, WIDTH, draw_page, image_number, key_image, page
from pipeline.encode.page.sop_instances import pdf
from pipeline.encode.page.views import axial, coronal
from pipeline.encode.result.identity import Prior, ReportReference
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.encode.source import source_slices
from pipeline.low_attenuation import LowAttenuation
from pipeline.types import (
    Analysis,
    Answer,
    Completeness,
    CtSeries,
    Doubt,
    Involvement,
    PredictionSet,
    ScoreClass,
    Unreported,
)
from tests.support.pdf_text import page_operators, text_of
from tests.support.recorded_page import RecordingCanvas
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
)
from tests.support.samples.lobes import all_lobes, left_lobes

SPEC = SeriesSpec(shape=(20, 40, 60), spacing_mm=(5.0, 4.0, 4.0))
REPORT = ReportReference(
    sop_class_uid="1.2",
    sop_instance_uid="1.2.3.7",
    series_instance_uid="1.2.3.8",
    study_instance_uid="1.2.3.9",
)
LONG = "a sentence that goes on and on, much further than anybody would ever want to read " * 5


def box_on_the_right(series: CtSeries) -> Analysis:
    """One opacity at the patient's right, back and head end; it takes no symmetry for granted."""
    shape, affine = series.volume.shape, series.volume.affine
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(grid @ affine[:3, :3].T, -1, 0)
    x, y, z = x - x.mean(), y - y.mean(), z - z.mean()
    inside = (x < -20) & (x > -80) & (y > 10) & (y < 50) & (z > 15) & (z < 40)
    lungs = np.ones(shape, np.uint8)
    labels = inside.astype(np.uint8)
    best = int(np.argmax(labels.sum(axis=(1, 2))))
    return analysis(shape, lungs=lungs, lesion_labels=labels, lesions=(lesion(1, key_slice=best),))


def best(found: Analysis) -> int:
    return found.lesions[0].key_slice


def coloured(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Middle of the first opacity's outline, as share of the height and of the width."""
    rows, columns = np.nonzero(np.all(picture == LESION_COLOURS[0], axis=-1))
    return rows.mean() / picture.shape[0], columns.mean() / picture.shape[1]


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP"])
def test_the_patients_right_is_at_the_left_of_both_views(position: str) -> None:
    series = ct_series(replace(SPEC, position=position))
    found = box_on_the_right(series)
    colours = {1: LESION_COLOURS[0]}
    row, column = coloured(axial(series.volume, found, best(found), colours, (300, 300)).picture)
    assert column < 0.45
    assert row > 0.55
    row, column = coloured(coronal(series.volume, found, colours, (300, 300)).picture)
    assert column < 0.45
    assert row < 0.45


@pytest.mark.parametrize("position", POSITIONS)
def test_the_picture_of_the_ct_lies_under_its_outlines(position: str) -> None:
    series = ct_series(replace(SPEC, position=position))
    found = box_on_the_right(series)
    hu = np.where(found.lesion_labels == 1, 100, -1300).astype(np.int16)
    volume, colours = replace(series.volume, hu=hu), {1: LESION_COLOURS[0]}
    for view in (
        axial(volume, found, best(found), colours, (300, 300)),
        coronal(volume, found, colours, (300, 300)),
    ):
        outlined = np.argwhere(np.all(view.picture == LESION_COLOURS[0], axis=-1))
        bright = np.argwhere(np.all(view.picture > 200, axis=-1))
        assert len(bright)
        assert (bright.min(axis=0) >= outlined.min(axis=0) - 2).all()
        assert (bright.max(axis=0) <= outlined.max(axis=0) + 2).all()


def test_views_have_equal_millimetres_in_both_directions() -> None:
    series = ct_series(SeriesSpec(shape=(20, 40, 60), spacing_mm=(5.0, 2.0, 3.0)))
    found = box_on_the_right(series)
    views = [
        axial(series.volume, found, best(found), {1: (1, 2, 3)}, (400, 400)),
        coronal(series.volume, found, {1: (1, 2, 3)}, (400, 400)),
    ]
    shapes = [view.picture.shape[:2] for view in views]
    for (rows, columns), (height, width) in zip(shapes, ((80, 180), (100, 180)), strict=True):
        assert rows / columns == pytest.approx(height / width, rel=0.02)
        assert max(rows, columns) in (399, 400)


def test_the_axial_view_is_that_of_the_first_opacity_and_says_so() -> None:
    """Not the slice with most opacity, where the second and third are."""
    labels = np.zeros((6, 16, 24), np.uint8)
    labels[1, 2:8, 2:8], labels[4, 2:8, 2:8], labels[4, 9:15, 9:15] = 1, 2, 3
    lesions = tuple(lesion(n, key_slice=slice_) for n, slice_ in ((3, 4), (1, 1), (2, 4)))
    found = analysis(lesion_labels=labels, lesions=lesions)
    shown, caption = key_image(found, source_slices.real_slices(ct_series()))
    assert (shown.index, caption) == (1, ("Axial", "CT image 2", "opacity 1 at its largest"))
    reverse = source_slices.real_slices(ct_series(SeriesSpec(source_reversed=True)))
    assert key_image(found, reverse)[1][1] == "CT image 5"


def test_without_opacities_the_axial_view_is_at_half_the_height_of_the_lungs() -> None:
    """Most lung is above the diaphragm, where the dome of the liver is."""
    lungs = np.zeros((6, 16, 24), np.uint8)
    lungs[1:, 5, 5], lungs[1, 2:9, 2:9] = 1, 1
    found = without_lesions(analysis(lungs=lungs))
    shown, caption = key_image(found, source_slices.real_slices(ct_series()))
    reason = "slice at half the height of the lungs"
    assert (shown.index, caption) == (3, ("Axial", "CT image 4", reason))


def unreported(voxel: tuple[int, int, int] = (1, 5, 5)) -> Analysis:
    found = without_lesions(analysis(score=0.1))
    named = Unreported(share=0.033, largest_ml=12.3, voxel=voxel)
    return replace(found, unreported=named)


def test_changes_that_are_not_reported_choose_the_slice_and_are_named_in_amber() -> None:
    slices = source_slices.real_slices(ct_series(SeriesSpec(missing=(1,))))
    shown, caption = key_image(unreported(), slices)
    assert (shown.index, caption[2]) == (0, "change at its largest, not outlined")
    calm = page(ct_series(), without_lesions(analysis(score=0.1)), context())
    drawn = page(ct_series(), unreported(), context())
    column = np.s_[SCALE * 90 : SCALE * 740, : SCALE * 560]
    assert not np.all(calm[column] == canvas.AMBER, axis=-1).any()
    assert np.all(drawn[column] == canvas.AMBER, axis=-1).sum() > 1000
    assert np.all(drawn == canvas.BLUE, axis=-1).any(), "the score is negative all the same"


def said_on(found: Analysis) -> str:
    return " ".join(text_of(pdf(ct_series(), found, context())).split())


@pytest.mark.parametrize(
    "found",
    [analysis(), analysis(score=0.1), without_lesions(analysis(score=0.1)), unreported()],
)
def test_every_page_says_once_what_was_not_assessed(found: Analysis) -> None:
    assert said_on(found).count(sentences.NOT_ASSESSED) == 1


def test_changes_that_are_not_reported_are_said_with_their_measures() -> None:
    assert "Changes present that the classifier does not call COVID-19-like" in said_on(
        unreported()
    )
    assert "3.3 % of the lungs, the largest 12.3 ml" in said_on(unreported())


def test_changes_of_an_indeterminate_series_are_not_said_to_be_unlike_covid() -> None:
    found = unreported()
    undecided = replace(found.classification, indeterminate_from=0.05)
    (said,) = sentences.changes_sentences(replace(found, classification=undecided))
    assert said.startswith("Changes present, not outlined because the score is indeterminate:")
    assert "COVID-19-like" not in said


def test_long_axis_and_content_are_shown_where_they_were_measured() -> None:
    lesions = (lesion(1, volume_mm3=5000.0, long_axis_mm=36.4, consolidation_mm3=1200.0),)
    labels = (analysis().lesion_labels == 1).astype(np.uint8)
    said = said_on(replace(analysis(), lesions=lesions, lesion_labels=labels))
    assert "5.0 ml 36 mm -350 HU" in said
    assert "Ground glass 3.8 ml, consolidation (from -300 HU, vessels included) 1.2 ml." in said
    assert "Ground glass" not in said_on(analysis())


def test_low_attenuation_is_told_where_it_was_measured() -> None:
    found = replace(analysis(), low_attenuation=LowAttenuation(right_ml=101.2, left_ml=40.0))
    assert "Low attenuation (below -950 HU) 141 ml." in said_on(found)
    assert "Low attenuation" not in said_on(analysis())


def test_lobes_are_told_where_they_are_asked_for() -> None:
    said = said_on(replace(analysis(), lobar=all_lobes()))

    assert "CT severity score 2 of 25 (experimental)." in said
    assert "Lobes with opacities: right lower lobe 10.0 %." in said
    assert "right oblique fissure" in said_on(replace(analysis(), lobar=left_lobes()))
    assert "severity" not in said_on(analysis())


@pytest.mark.parametrize(
    ("position", "axis"), [("HFS", 1), ("HFP", 1), ("FFS", 1), ("decubitus", 2)]
)
@pytest.mark.parametrize("place", [2, 13])
def test_the_coronal_view_shows_the_plane_of_most_change(
    position: str, axis: int, place: int
) -> None:
    series = ct_series(SeriesSpec(position=position))
    bright = np.arange(series.volume.shape[axis]) == place
    shape = [len(bright) if other == axis else 1 for other in range(3)]
    hu = np.where(bright.reshape(shape), 0, -800) + np.zeros(series.volume.shape)
    voxel = (1, place, 5) if axis == 1 else (1, 5, place)
    lungs = analysis(lungs=np.ones(hu.shape, np.uint8)).lungs
    found = replace(unreported(voxel), lungs=lungs)
    volume = replace(series.volume, hu=hu.astype(np.int16))
    assert coronal(volume, found, {}, (300, 300)).picture.mean() > 150


def test_small_opacities_are_counted_apart_by_a_volume_that_is_named() -> None:
    volumes = {1: 5000.0, 2: 951.0, 3: 949.0, 4: 300.0}
    lesions = tuple(lesion(n, volume_mm3=volume) for n, volume in volumes.items())
    said = said_on(replace(analysis(), lesions=lesions))
    assert "2 smaller than 1 ml, 1.2 ml together" in said
    assert "1.0 ml - -350 HU" in said
    assert "0.3 ml" not in said


def test_numbers_stand_at_the_largest_part() -> None:
    series = ct_series(SPEC)
    labels = np.zeros(SPEC.shape, np.uint8)
    labels[10, 10:20, 10:20] = 1
    labels[10, 5, 55] = 1
    found = replace(box_on_the_right(series), lesion_labels=labels)
    view = axial(series.volume, found, 10, {1: LESION_COLOURS[0]}, (600, 600))
    ((number, (column, _)),) = view.places
    assert number == 1
    assert column / view.picture.shape[1] == pytest.approx(20 / 60, abs=0.02)


def test_the_page_is_made_twice_alike_and_in_its_size() -> None:
    first, again = (page(ct_series(), analysis(), context()) for _ in range(2))
    assert first.shape == (SCALE * HEIGHT, SCALE * WIDTH, 3)
    np.testing.assert_array_equal(first, again)


def many(shape: tuple[int, int, int], count: int) -> Analysis:
    labels = np.zeros(shape, np.uint8)
    for number in range(1, count + 1):
        labels[2, 4 + number // 8, 3 + number % 8] = number
    return analysis(
        shape, lesion_labels=labels, lesions=tuple(lesion(n) for n in range(1, count + 1))
    )


def doubtful() -> Analysis:
    found = many((6, 16, 24), 40)
    doubts = tuple(Doubt(code=f"code-{number}", text=LONG) for number in range(9))
    called = replace(
        found.classification,
        score=0.5000001,
        operating_point="p" * 200,
        prediction_set=PredictionSet(
            coverage=0.9, classes=(ScoreClass.NEGATIVE, ScoreClass.POSITIVE)
        ),
    )
    named = replace(found.provenance, model_name=LONG)
    return replace(found, doubts=doubts, flags=("a",), classification=called, provenance=named)


def incomplete() -> CtSeries:
    series = ct_series(StudyDate="")
    geometry = replace(series.geometry, completeness=Completeness.INCOMPLETE, statement=LONG)
    return replace(series, geometry=geometry)


def prior(year: int) -> Prior:
    return Prior(
        study_date=date(year, 1, 2),
        score=0.3,
        threshold=0.5,
        right=0.1,
        left=0.2,
        total=0.15,
        model="DeCoVNet 1.0.0",
        report=REPORT,
    )


def test_nothing_runs_off_the_page() -> None:
    priors = tuple(prior(year) for year in range(2026, 2010, -1))
    drawn = page(incomplete(), doubtful(), context(priors=priors))
    edge = SCALE * 20
    for strip in (drawn[:, :edge], drawn[:, -edge:], drawn[-SCALE * 10 :]):
        inner = strip[SCALE * 80 :] if len(strip) > SCALE * 80 else strip
        assert (inner == canvas.GROUND).all()


def test_texts_are_cut_to_their_width() -> None:
    assert text_width(canvas.fitted(LONG, 16, 200), 16) <= 200
    assert canvas.fitted("short", 16, 200) == "short"
    lines = canvas.wrapped(LONG, 16, 200, 3)
    assert len(lines) == 3
    assert all(text_width(line, 16) <= 200 for line in lines)
    assert lines[-1].endswith(canvas.CUT)
    assert text_width(canvas.wrapped("w" * 500, 16, 200, 3)[0], 16) <= 200


def changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Box, in points, within which two pages differ."""
    rows, columns = np.nonzero((one != other).any(axis=-1))
    box = (rows.min(), rows.max(), columns.min(), columns.max())
    top, bottom, left, right = (int(edge) // SCALE for edge in box)
    return slice(top, bottom), slice(left, right)


def test_earlier_results_are_drawn_at_the_foot() -> None:
    series, found = ct_series(), analysis()
    rows, _ = changed(
        page(series, found, context()), page(series, found, context(priors=(prior(2025),)))
    )
    assert rows.start > 740


def test_the_head_names_study_series_and_revision() -> None:
    found = analysis()
    first = page(ct_series(), found, context())
    for other in (
        page(ct_series(SeriesNumber=5), found, context()),
        page(ct_series(StudyDate="20261121"), found, context()),
        page(ct_series(), found, context(generation=2)),
    ):
        rows, columns = changed(first, other)
        assert rows.stop < 76
        assert columns.stop < WIDTH - 380  # beside the box that says what it is for


def test_blocks_keep_to_their_column() -> None:
    series = ct_series()
    for found in (without_lesions(analysis(score=0.1)), doubtful()):
        gutter = page(series, found, context())[SCALE * 80 : SCALE * 740, SCALE * 562 : SCALE * 598]
        assert (gutter == canvas.GROUND).all()


def drawn_in(colour: tuple[int, int, int], canvas: PixelCanvas) -> int:
    below_the_heading = canvas.pixels()[SCALE * 24 :]
    return int(np.all(below_the_heading == colour, axis=-1).sum())


PLACE = blocks.Place(left=0, top=0, width=520)


def test_a_share_that_is_not_reported_has_no_bar() -> None:
    found = without_lesions(analysis())
    some = replace(found.involvement, right=0.0001, left=0.0001, total=0.0001)
    none = replace(found.involvement, right=0.0, left=0.0, total=0.0)
    told, untold, nothing = (PixelCanvas(560, 200) for _ in range(3))
    blocks.involvement(told, PLACE, replace(found, involvement=some))
    blocks.involvement(untold, PLACE, found)
    blocks.involvement(nothing, PLACE, replace(found, involvement=none))
    assert drawn_in(canvas.RULE, nothing) == drawn_in(canvas.RULE, untold)
    assert drawn_in(canvas.RULE, told)
    assert not drawn_in(canvas.RULE, untold)


def test_a_study_that_reports_no_share_has_no_bar_in_the_course() -> None:
    told, untold, nothing = (PixelCanvas(560, 200) for _ in range(3))
    for drawn, share in ((told, 0.01), (untold, None), (nothing, 0.0)):
        study = blocks.Study(name="2026-01-01", share=share, note="")
        blocks.comparison(drawn, PLACE, (study,))
    assert drawn_in(blocks.AMBER, told)
    assert not drawn_in(blocks.AMBER, untold)
    assert not drawn_in(blocks.AMBER, nothing), "none localised is no measure"


@pytest.mark.parametrize("score", [0.1, 0.5, 0.5000001])
def test_the_decision_is_never_cut(score: float) -> None:
    found = doubtful()
    called = replace(found.classification, score=score, operating_point="p")
    words = sentences.beginning(sentences.decision(called))
    assert words in said_on(replace(found, classification=called))


THREE: dict[str, Any] = {
    "indeterminate_from": 0.2059,
    "threshold": 0.4908,
    "operating_point": SETS_POINT,
}


@pytest.mark.parametrize("score", [0.1, 0.3, 0.6])
def test_each_of_three_answers_is_said_with_the_range_that_gives_it(score: float) -> None:
    found = analysis(score=score)
    called = replace(
        found.classification,
        indeterminate_from=0.2059,
        threshold=0.4908,
        operating_point=SETS_POINT,
    )
    said = said_on(replace(found, classification=called))
    assert sentences.beginning(sentences.decision(called)) in said
    assert "indeterminate from 0.21 to 0.49 (prediction sets)" in said


def test_three_answers_have_three_colours() -> None:
    drawn = {}
    for score in (0.1, 0.3, 0.6):
        found = analysis(score=score)
        called = replace(
            found.classification,
            indeterminate_from=0.2059,
            threshold=0.4908,
            operating_point=SETS_POINT,
        )
        canvas_of = drawn[called.answer] = PixelCanvas(560, 200)
        blocks.score(canvas_of, PLACE, replace(found, classification=called))
    for answer, colour in ((Answer.ABOVE, blocks.AMBER), (Answer.BELOW, blocks.BLUE)):
        assert [bool(drawn_in(colour, drawn[one])) for one in Answer] == [
            one is answer for one in Answer
        ]


@pytest.mark.parametrize(("score", "size"), [(0.44, 72), (0.443, 72), (0.4391, 72)])
def test_the_score_keeps_its_size_with_three_decimals(score: float, size: float) -> None:
    found = analysis(score=score)
    found = replace(found, classification=replace(found.classification, threshold=0.4391))
    held = page_operators(pdf(ct_series(), found, context()))
    digits = sentences.telling_digits(score, 0.4391)
    figure = re.escape(f"({score:.{digits}f}) Tj")
    (drawn,) = re.findall(rf"/F\d\+\d ([\d.]+) Tf [\d.]+ TL {figure}", held)
    assert float(drawn) == pytest.approx(size, abs=0.5)


def test_scores_of_another_model_are_not_compared() -> None:
    series, found = ct_series(), analysis()
    other = replace(prior(2025), model="Another 1.0")
    pages = [
        page(series, found, context(priors=(replace(earlier, score=score),)))
        for earlier in (other, prior(2025))
        for score in (0.2, 0.4)
    ]
    np.testing.assert_array_equal(pages[0], pages[1])
    assert (pages[2] != pages[3]).any()


def test_the_patients_identity_changes_nothing() -> None:
    named = page(ct_series(), analysis(), context())
    other = page(
        ct_series(PatientName="Anders^Arne", PatientID="X-9", AccessionNumber="B-1"),
        analysis(),
        context(),
    )
    np.testing.assert_array_equal(named, other)


def test_images_are_numbered_as_viewers_number_them() -> None:
    reverse = source_slices.real_slices(ct_series(SeriesSpec(source_reversed=True)))
    assert [image_number(reverse[index]) for index in (0, 5)] == ["6", "1"]
    assert image_number(source_slices.real_slices(enhanced_series())[0]) == "6"
    bare = source_slices.real_slices(ct_series())
    for item in bare:
        del item.header.InstanceNumber
    assert image_number(bare[3]) == "-"


def written(series: CtSeries, products: Products) -> dict[ResultKind, list[Dataset]]:
    kinds: dict[ResultKind, list[Dataset]] = {}
    for item in encode(series, analysis(), context(products=products)).objects:
        kinds.setdefault(item.kind, []).append(dcmread(BytesIO(part10(item.dataset))))
    return kinds


@pytest.mark.parametrize("form", HeatmapForm)
def test_the_page_is_the_first_series_of_the_results_and_alone_in_it(form: HeatmapForm) -> None:
    kinds = written(ct_series(), Products(heatmap=form))
    (capture,) = kinds.pop(ResultKind.SUMMARY)
    others = [dataset for datasets in kinds.values() for dataset in datasets]
    assert all(capture.SeriesNumber < other.SeriesNumber for other in others)
    assert capture.SeriesInstanceUID not in {other.SeriesInstanceUID for other in others}


def test_the_page_lies_nowhere_in_the_patient() -> None:
    (capture,) = written(ct_series(), Products())[ResultKind.SUMMARY]
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY", "SUMMARY"]
    assert capture.pixel_array.shape == (HEIGHT, WIDTH, 3)
    assert capture.BurnedInAnnotation == "NO"
    for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "PixelSpacing"):
        assert keyword not in capture
    assert len(capture.SourceImageSequence) == 6


def test_the_page_can_be_left_out() -> None:
    assert ResultKind.SUMMARY not in written(ct_series(), Products(summary=False))


@pytest.mark.parametrize("position", POSITIONS)
def test_pages_are_drawn_of_every_position(position: str) -> None:
    series = ct_series(SeriesSpec(position=position))
    with_some, without = analysis(), without_lesions(analysis())
    rows, _ = changed(page(series, with_some, context()), page(series, without, context()))
    assert rows.start > 90


@pytest.mark.parametrize("language", Language)
def test_long_figures_are_whole_on_every_page(language: Language) -> None:
    """A row of a page ended in the first digits of a volume."""
    first = lesion(
        1,
        volume_mm3=4_567_890.0,
        consolidation_mm3=1_234_500.0,
        mean_hu=-123.0,
        long_axis_mm=345.0,
    )
    labels = np.minimum(analysis().lesion_labels, 1)
    found = replace(
        analysis(lesions=(first,), lesion_labels=labels),
        low_attenuation=LowAttenuation(right_ml=8765.0, left_ml=7654.0),
        unreported=Unreported(share=0.123, largest_ml=4321.9, solid_ml=3210.8, voxel=(1, 5, 5)),
        involvement=Involvement(
            right_ml=12_345, left_ml=23_456, right=0.987, left=0.876, total=0.912
        ),
    )
    priors = tuple(replace(prior(2026 - n), total=1 - n / 9) for n in range(4))
    recording = RecordingCanvas()
    with writing_in(language):
        draw_page(recording, ct_series(), found, context(priors=priors))
        figures = [sentences.number(value, 1) for value in (4567.9, 3333.4, 1234.5, 98.7, 91.2)]
        figures += [sentences.number(value, 1) for value in (12.3, 4321.9, 3210.8, 100.0)]
        figures += ["16419", "12345", "23456", "35801", "-123", "345", "-950"]

    texts = " ".join(line.partition(": ")[2] for line in recording.drawn if line[:4] == "text")

    assert [figure for figure in figures if figure not in texts] == []


def test_every_outline_that_has_a_number_shows_it() -> None:
    """Colours alone are told apart by few: also where outlines touch, and beyond the table."""
    labels = np.zeros(SeriesSpec().shape, np.uint8)
    for number in range(1, 15):
        labels[2, 4 + 2 * (number % 5), 3 + number // 5] = number
    found = analysis(
        lesion_labels=labels, lesions=tuple(lesion(n, key_slice=2) for n in range(1, 15))
    )
    recording = RecordingCanvas()
    draw_page(recording, ct_series(), found, context())
    numbers = [re.fullmatch(r"text \S+ mm 13.0 bold \S+ (\d+)", line) for line in recording.drawn]
    assert {int(match[1]) for match in numbers if match} == set(range(1, 15))


def test_a_negative_page_with_opacities_says_large_what_was_not_assessed() -> None:
    recording = RecordingCanvas()
    draw_page(recording, ct_series(), analysis(score=0.1), context())
    (line,) = [line for line in recording.drawn if "Not assessed" in line]
    assert f" {blocks.BODY} STRONG: " in line


@pytest.mark.parametrize("language", Language)
def test_lines_beside_the_score_lie_below_one_another(language: Language) -> None:
    certain = PredictionSet(coverage=0.9, classes=(ScoreClass.NEGATIVE,))
    found = unreported()
    found = replace(found, classification=replace(found.classification, prediction_set=certain))
    recording = RecordingCanvas()
    with writing_in(language):
        blocks.score(recording, PLACE, found)
    heading, _score, *others = [line for line in recording.drawn if line.startswith("text")]
    heights = sorted(int(line.split(",")[1].split()[0]) for line in (heading, *others))
    assert all(below - above >= 15 for above, below in pairwise(heights[:-3]))
