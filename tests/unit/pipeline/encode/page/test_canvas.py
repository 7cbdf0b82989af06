"""Both surfaces draw what they are told: where, how large, how heavy, and in which colour."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.encode.page import canvas
from pipeline.encode.page.canvas import PixelCanvas
from pipeline.encode.page.pdf_canvas import About, PdfCanvas
from tests.support.pdf_text import page_operators

RED = (255, 0, 0)
ABOUT = About(
    title="t",
    author="a",
    subject="s",
    language="en",
    created=datetime(2026, 1, 1, tzinfo=UTC),
)
WIDTH, HEIGHT = 100, 60


def inked(drawn: PixelCanvas, colour: tuple[int, int, int] = RED) -> NDArray[np.intp]:
    """Rows and columns of the pixels that have a colour."""
    return np.argwhere((drawn.pixels() == colour).all(axis=-1))


def extent(drawn: PixelCanvas) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is red."""
    found = inked(drawn)
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
    return int(top), int(bottom), int(left), int(right)


@pytest.fixture
def drawn() -> PixelCanvas:
    return PixelCanvas(WIDTH, HEIGHT)


def test_a_page_has_two_pixels_to_a_point_and_a_dark_ground(drawn: PixelCanvas) -> None:
    assert drawn.pixels().shape == (120, 200, 3)
    assert (drawn.pixels() == (13, 17, 23)).all()


def test_a_filled_box_ends_before_its_lower_right_corner(drawn: PixelCanvas) -> None:
    drawn.box((10, 20), (30, 25), fill=RED)
    assert extent(drawn) == (40, 49, 20, 59)
    assert len(inked(drawn)) == 10 * 40


def test_a_frame_is_a_point_wide(drawn: PixelCanvas) -> None:
    drawn.box((10, 20), (30, 30), outline=RED)
    assert extent(drawn) == (40, 59, 20, 59)
    assert len(inked(drawn)) == 20 * 40 - 16 * 36


def test_corners_are_round_by_points(drawn: PixelCanvas) -> None:
    drawn.box((10, 20), (30, 40), fill=RED, radius=5)
    left_out = 40 * 40 - len(inked(drawn))
    assert left_out == pytest.approx((4 - np.pi) * 10**2, rel=0.2)


@pytest.mark.parametrize(("width", "rows"), [(1, 2), (2, 4), (0.1, 1)])
def test_a_line_is_as_wide_as_told(drawn: PixelCanvas, width: float, rows: int) -> None:
    drawn.line((10, 20), (30, 20), colour=RED, width=width)
    top, bottom, left, right = extent(drawn)
    assert (bottom - top + 1, left, right) == (rows, 20, 60)
    assert abs((top + bottom) / 2 - 40) <= 1


def test_a_picture_is_shown_as_it_is(drawn: PixelCanvas) -> None:
    picture = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    drawn.picture((10, 20), picture)
    np.testing.assert_array_equal(drawn.pixels()[40:47, 20:29], picture)
    drawn.pixels()[:] = 0  # is a copy
    assert drawn.pixels().any()


def shown(text: str = "HI", **look: object) -> PixelCanvas:
    drawn = PixelCanvas(WIDTH, HEIGHT)
    drawn.text((50, 30), text, **{"size": 20, "colour": RED, **look})  # type: ignore[arg-type]  # checked at run time
    return drawn


@pytest.mark.parametrize(
    ("anchor", "row", "column"),
    [
        ("ls", "bottom", "left"),
        ("ms", "bottom", "middle"),
        ("rs", "bottom", "right"),
        ("lm", "middle", "left"),
        ("rm", "middle", "right"),
        ("mm", "middle", "middle"),
    ],
)
def test_text_stands_by_its_anchor(anchor: str, row: str, column: str) -> None:
    top, bottom, left, right = extent(shown(anchor=anchor))
    rows = {"bottom": bottom + 1, "middle": (top + bottom) / 2}
    columns = {"left": left, "middle": (left + right) / 2, "right": right}
    assert rows[row] == pytest.approx(60, abs=4)
    assert columns[column] == pytest.approx(100, abs=7)  # letters have room beside them


def test_text_is_as_large_and_as_heavy_as_told() -> None:
    top, bottom, *_ = extent(shown())
    assert bottom - top + 1 == pytest.approx(0.73 * 2 * 20, abs=2)
    assert len(inked(shown(bold=True))) > 1.2 * len(inked(shown()))
    assert len(inked(shown(size=10))) < 0.5 * len(inked(shown()))
    assert extent(shown(text="H\u00a0I")) == extent(shown(text="H I"))


def test_what_no_colour_is_told_for_is_plain() -> None:
    drawn = PixelCanvas(WIDTH, HEIGHT)
    drawn.lines((10, 30), ["HI", "HI"], size=20)
    found = inked(drawn, canvas.PLAIN)
    assert found[:, 0].max() - found[:, 0].min() + 1 > 2 * 20 * 1.32
    drawn.line((10, 5), (20, 5))
    assert len(inked(drawn, canvas.RULE))


def test_lines_stand_below_one_another(drawn: PixelCanvas) -> None:
    assert drawn.lines((10, 20), ["HI", "HI"], size=10, colour=RED) == pytest.approx(20 + 26.4)
    top, bottom, *_ = extent(drawn)
    assert (top, bottom) == pytest.approx((40 - 14.6, 40 + 26.4), abs=2)


def test_measures_of_text_are_in_points() -> None:
    width = canvas.text_width("HIGH", 20)
    _, _, left, right = extent(shown("HIGH"))
    assert width == pytest.approx((right - left) / 2, abs=6)
    assert canvas.text_width("HIGH", 20, bold=True) > width
    assert canvas.fitting_size("HIGH", 20, width) == 20
    assert canvas.fitting_size("HIGH", 20, width / 2) == pytest.approx(10, abs=0.5)
    assert canvas.fitting_size("HIGH", 20, width, bold=True) < 20
    assert canvas.fitted("HIGH", 20, width) == "HIGH"
    assert canvas.fitted("HIGH", 20, width, bold=True) != "HIGH"
    assert canvas.fitted("HIGH", 20, width / 4) == "..."
    assert canvas.wrapped("HIGH HIGH HIGH", 20, 2.5 * width, 3) == ["HIGH HIGH", "HIGH"]
    assert canvas.wrapped("HIGH HIGH", 20, width, 3, bold=True) == ["HI...", "HI..."]


def operators(draw: str, *told: object, **look: object) -> str:
    """Operators of a PDF page of 400 x 300 points, which are scaled by one number."""
    page = PdfCanvas(400, 300, above=0, about=ABOUT)
    getattr(page, draw)(*told, **look)
    page.text((0, 0), "x", size=5)
    return page_operators(page.content())


def numbers(text: str, operator: str) -> list[tuple[float, ...]]:
    found = re.findall(rf"((?:[-\d.]+ )+){operator}\b", text)
    return [tuple(float(number) for number in one.split()) for one in found]


def test_a_pdf_fills_the_paper_within_its_margin() -> None:
    scale, _, _, upright, left, bottom = numbers(operators("line", (0, 0), (1, 1)), "cm")[1]
    assert scale == upright
    assert scale == pytest.approx((595.28 - 56) / 300, abs=1e-3)
    assert (left, bottom) == pytest.approx(((841.89 - scale * 400) / 2, 28), abs=1e-2)


@pytest.mark.parametrize(
    ("anchor", "x", "y"),
    [("ls", 50, 270), ("ms", None, 270), ("rs", None, 270), ("lm", 50, 270 - 0.365 * 20)],
)
@pytest.mark.parametrize("bold", [False, True])
def test_text_of_a_pdf(anchor: str, x: float | None, y: float, bold: bool) -> None:
    told = operators("text", (50, 30), "HI", size=20, colour=RED, anchor=anchor, bold=bold)
    first, *_ = numbers(told, "Tm")
    width = canvas.text_width("HI", 20, bold=bold)
    shift = {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
    assert first[4:] == pytest.approx((50 - shift if x is None else x, y), abs=0.6)
    assert numbers(told, "rg")[0] == (1, 0, 0)
    assert re.findall(r"/F\d\+\d ([\d.]+) Tf", told)[0] == "20"
    assert ("VeraSans-Bold" in fonts(anchor, bold=bold)) == bold


def fonts(anchor: str, **look: bool) -> str:
    """A PDF, in which its fonts are named."""
    page = PdfCanvas(400, 300, above=0, about=ABOUT)
    page.text((50, 30), "HI", size=20, anchor=anchor, **look)
    return page.content().decode("latin-1")


def test_lines_and_boxes_of_a_pdf() -> None:
    told = operators("line", (10, 20), (30, 40), colour=RED, width=3)
    assert "10 280 m 30 260 l" in re.sub(r"\s+", " ", told)
    assert numbers(told, "RG")[-1] == (1, 0, 0)
    assert numbers(told, "w")[-1] == (3,)
    told = operators("box", (10, 20), (30, 25), fill=RED, outline=(0, 0, 255))
    assert numbers(told, "rg")[0] == (1, 0, 0)
    assert numbers(told, "RG")[-1] == (0, 0, 1)
    assert numbers(told, "w")[-1] == (1,)
    assert re.search(r"\bB\b", told)
    corners = [point for operator in "ml" for point in numbers(told, operator)]
    assert set(corners) == {(10, 275), (30, 275), (30, 280), (10, 280)}
    assert re.search(r"\bf\*?\s", operators("box", (10, 20), (30, 25), fill=RED))
    assert re.search(r"\bS\b", operators("box", (10, 20), (30, 25), outline=RED))


def test_a_picture_of_a_pdf_has_two_pixels_to_a_point() -> None:
    told = operators("picture", (10, 20), np.zeros((40, 60, 3), np.uint8))
    assert (30, 0, 0, 20, 10, 260) in numbers(told, "cm")


WORDS = st.sampled_from(["780 ml", "12.345 %", "-1 %", "score", "(below", "HU)", "x9/10.5", "."])


@given(words=st.lists(WORDS, min_size=1, max_size=9), width=st.floats(1, 300), bold=st.booleans())
def test_a_number_is_never_cut(words: list[str], width: float, bold: bool) -> None:
    text = " ".join(words)
    lines = canvas.wrapped(text, 14, width, 2, bold=bold)
    for shown, whole in (
        (canvas.fitted(text, 14, width, bold=bold), text),
        (canvas.shrunk(text, 14, width, bold=bold)[0], text),
        (" ".join(line.removesuffix(canvas.CUT).rstrip() for line in lines), text),
    ):
        kept = shown.removesuffix(canvas.CUT).rstrip()
        assert set(re.findall(r"\S*\d\S*", kept)) <= set(re.findall(r"\S*\d\S*", whole))


@given(text=st.text("0123456789.,-% ml", max_size=60), width=st.floats(20, 300))
def test_text_of_a_fitting_size_is_not_wider(text: str, width: float) -> None:
    """Sizes are whole pixels: one that was rounded up cut the last figure of a row."""
    size = canvas.fitting_size(text, 14, width)
    assert canvas.text_width(text, size) <= width or size <= canvas.STEP
