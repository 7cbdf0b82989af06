"""Colours and grey levels of the heatmap, against values from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.encode.heatmap import paint
from pipeline.encode.heatmap.paint import Legend

CYAN, WHITE = (0, 255, 255), (255, 255, 255)


def test_the_lung_window_is_1500_hu_wide_at_a_level_of_minus_600() -> None:
    """PS3.3 C.11.2.1.2, linear; rounded to the nearest level, so that half a level is the most."""
    hu = np.arange(-1500, 301)
    exact = np.clip((hu - (-600 - 750)) / 1500, 0, 1) * 255
    assert np.abs(paint.windowed(hu[None])[0] - exact).max() <= 0.5 + 1e-4
    assert paint.windowed(np.array([[-1350, 150]])).tolist() == [[0, 255]]


def test_the_colour_map_is_inferno() -> None:
    """At every ninth of it, as matplotlib has it (van der Walt and Smith 2015)."""
    colormaps = pytest.importorskip("matplotlib", reason="needs the extra training").colormaps
    expected = np.array([colormaps["inferno"](n / 9)[:3] for n in range(10)]) * 255
    np.testing.assert_allclose(np.array(paint.INFERNO), expected, atol=0.5)
    assert paint.colour_map().shape == (256, 3)
    at_stops = paint.colour_map()[np.rint(np.linspace(0, 255, 10)).astype(int)]
    np.testing.assert_allclose(at_stops, paint.INFERNO, atol=2)


@pytest.mark.parametrize(("activation", "opacity"), [(0, 0.0), (51, 0.12), (255, 0.6), (300, 0.6)])
@pytest.mark.parametrize(("hu", "grey"), [(-1350.0, 0), (150.0, 255)])
def test_opacity_rises_to_60_percent(
    activation: float, opacity: float, hu: float, grey: int
) -> None:
    shown = paint.overlay(np.full((1, 1), hu, np.float32), np.full((1, 1), activation, np.float32))
    colour = paint.colour_map()[min(int(activation), 255)]
    np.testing.assert_allclose(shown[0, 0], (1 - opacity) * grey + opacity * colour, atol=0.51)


def test_outlines_are_cyan_and_one_pixel_wide_inside_the_label() -> None:
    labels = np.zeros((9, 10), np.uint8)
    labels[2:7, 2:6], labels[2:7, 6:9] = 1, 2
    picture = np.full((9, 10, 3), 90, np.uint8)
    paint.draw_outline(picture, labels)
    outlined = (picture == CYAN).all(axis=-1)
    inside = np.zeros(labels.shape, bool)
    inside[3:6, 3:5], inside[3:6, 7:8] = True, True
    np.testing.assert_array_equal(outlined, (labels > 0) & ~inside)
    assert (picture[~outlined] == 90).all()
    twice = paint.inner_border(labels, 2)
    np.testing.assert_array_equal(twice, labels > 0)


def height(columns: int) -> int:
    """Rows that the number of an opacity takes in a picture."""
    labels = np.zeros((60, columns), np.uint8)
    labels[30:40, 10:30] = 1
    picture = np.full((60, columns, 3), 90, np.uint8)
    paint.draw_numbers(picture, labels, 1)
    assert (picture == WHITE).all(axis=-1).any()
    assert (picture == 0).all(axis=-1).any()  # its edge
    return len(np.flatnonzero((picture != 90).any(axis=(1, 2))))


def test_numbers_grow_with_the_picture_and_stand_at_the_upper_right_corner() -> None:
    small, middle, large = height(100), height(192), height(384)
    assert small < middle < large
    assert (height(191), height(383)) == (small, middle)
    labels = np.zeros((60, 80), np.uint8)
    labels[30:40, 10:30] = 1
    picture = np.full((60, 80, 3), 90, np.uint8)
    paint.draw_numbers(picture, labels, 1)
    rows, columns = np.nonzero((picture != 90).any(axis=-1))
    assert 30 < columns.min() < columns.max() < 42
    assert 24 < rows.min() < 30 < rows.max() < 38


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_the_bar_of_the_legend_runs_from_nothing_to_the_strength(strength: float) -> None:
    picture = np.full((300, 300, 3), 90, np.uint8)
    paint.draw_legend(picture, "CT image 1", Legend(strength=strength))
    ends = [
        paint.overlay(np.full((1, 1), -850, np.float32), np.full((1, 1), level, np.float32))[0, 0]
        for level in (0.0, 255 * strength)
    ]
    last = np.argwhere((picture == ends[1]).all(axis=-1))
    row, column = last.max(axis=0)
    assert 0 < len(set(last[:, 0])) <= 9 + 3 - 5  # as high as the text, less a rim
    assert (picture[row, column - 71] == ends[0]).all()
    assert (picture[row, column - 72] != ends[0]).any()
    rows = np.flatnonzero((picture != 90).any(axis=(1, 2)))
    assert rows.min() >= 0.7 * 300
    assert rows.max() < 299


def lines_of(label: str, caveat: str = "", size: int = 300) -> tuple[bytes, int]:
    """A caption, and the rows from the first that it touches to the lower edge."""
    picture = np.full((size, size, 3), 90, np.uint8)
    paint.draw_caption(picture, label, caveat)
    return picture.tobytes(), size - int((picture != 90).any(axis=(1, 2)).argmax())


def test_a_caption_names_the_image_and_the_caveat_where_there_is_room() -> None:
    bare, low = lines_of("")
    assert low <= 2 * (9 + 3)
    assert len({bare, lines_of("CT image 7")[0], lines_of("", "caveat")[0]}) == 3
    assert lines_of("x" * 300)[0] == bare  # a name that has no room is left out
    wrapped, high = lines_of("", "a caveat of so many words that they need two lines")
    assert wrapped != bare
    assert low + 9 < high < 0.3 * 300
