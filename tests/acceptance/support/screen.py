"""Screenshots of the viewer, as pixels on the grid of the image."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.acceptance.support.viewer import CHROMIUM, CHROMIUM_OPTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WRITTEN = """() => {
    const pane = document.querySelector('[data-cy="viewport-pane"]').getBoundingClientRect();
    const lines = document.querySelectorAll('[data-cy="viewport-pane"] svg.svg-layer tspan');
    return [...lines].map(line => {
        const box = line.getBoundingClientRect();
        const whole = pane.left <= box.left && box.right <= pane.right
            && pane.top <= box.top && box.bottom <= pane.bottom;
        return [line.textContent, whole];
    });
}"""
"""Lines of text on the picture, and whether they lie in the pane."""

MILLISECONDS = 240_000  #: longest wait for one thing; software rendering on a busy machine is slow
PAUSE = 500  #: between two looks, milliseconds
COLOURFUL = 30  #: between the strongest and the weakest channel; the CT itself is grey
FRAME = 2  #: the frame around the pane, pixels of the image
SEEN_THE_TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One study open in the viewer.

    Attributes
    ----------
    size
        Rows and columns of the images; square pixels.
    shots
        Folder for what was seen, for people.
    """

    page: Page
    size: int
    shots: Path

    def open(self, series_number: int) -> None:
        """Open a series, and say yes if the viewer asks whether to."""
        self.page.locator(f'[data-series="{series_number}"]').first.dblclick(timeout=MILLISECONDS)

    def accept(self) -> None:
        """Let the viewer load what it asks about."""
        yes = self.page.get_by_role("button", name="Yes", exact=True)
        yes.first.click(timeout=MILLISECONDS)

    def text(self) -> str:
        return self.page.locator('[data-cy="viewport-grid"]').first.inner_text()

    def beside_outlines(self) -> list[str]:
        """Lines written beside outlines, those only that the pane shows whole."""
        lines = self.page.evaluate(WRITTEN)
        return [str(line).rstrip(": ") for line, whole in lines if whole]

    def position(self) -> int:
        """Which image of its series is shown, from 1, by the corner of the pane; 0 if none is."""
        corner = self.page.locator('[data-cy="viewport-overlay-bottom-right"]')
        found = re.search(r"\((\d+)/\d+\)", corner.first.inner_text()) if corner.count() else None
        return int(found[1]) if found else 0

    def go_to(self, position: int) -> None:
        """Scroll image by image."""
        while before := position - self.position():
            self.page.keyboard.press("ArrowDown" if before > 0 else "ArrowUp")
            self.wait(lambda before=before: position - self.position() != before, "another image")

    def next_measurement(self, arrow: str = "right") -> None:
        """Go to the measurement behind an arrow, ``right`` or ``left``, on another slice."""
        before = self.position()
        self.page.locator(f'[data-cy="viewport-action-arrows-{arrow}"]').click()
        self.wait(lambda: self.position() != before, "the next measurement")

    def image(self) -> Pixels:
        """What the pane shows now, ``(size, size, 3)`` on the grid of the image; black if none."""
        canvas = self.page.locator('[data-cy="viewport-pane"] canvas')
        box = canvas.first.bounding_box() if canvas.count() else None
        if box is None:
            return np.zeros((self.size, self.size, 3), np.uint8)
        edge = min(box["width"], box["height"])
        square = {
            "x": box["x"] + (box["width"] - edge) / 2,
            "y": box["y"] + (box["height"] - edge) / 2,
            "width": edge,
            "height": edge,
        }
        seen = Image.open(io.BytesIO(self.page.screenshot(clip=square)))
        return np.asarray(seen.convert("RGB").resize((self.size, self.size), Image.Resampling.BOX))

    def settled(self, name: str, enough: Callable[[Pixels], bool]) -> Pixels:
        """Image once it holds enough and stands still; kept under `name`."""
        seen = [self.image()]

        def still() -> bool:
            seen.append(self.image())
            return enough(seen[-1]) and bool(np.array_equal(*seen[-2:]))

        self.wait(still, name)
        self.page.screenshot(path=self.shots / f"{name}.png")
        return seen[-1]

    def wait(self, done: Callable[[], bool], what: str) -> None:
        for _ in range(MILLISECONDS // PAUSE):
            if done():
                return
            self.page.wait_for_timeout(PAUSE)
        self.page.screenshot(path=self.shots / "given-up.png")
        raise TimeoutError(f"{what}: not within {MILLISECONDS} ms")


def colourful(image: Pixels) -> NDArray[np.bool_]:
    """Where an image of a grey CT has colour, ``(size, size)``; the pane's own frame left out."""
    colour = np.ptp(image.astype(np.int16), axis=-1) > COLOURFUL
    inner = np.zeros_like(colour)
    inner[FRAME:-FRAME, FRAME:-FRAME] = colour[FRAME:-FRAME, FRAME:-FRAME]
    return inner


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # needs installing

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_OPTIONS), timeout=MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def study_open(address: str, study_uid: str, *, size: int, shots: Path) -> Iterator[Screen]:
    """Open a study in a browser without a window."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(MILLISECONDS)
        page.add_init_script(SEEN_THE_TOUR)
        page.goto(f"{address}/viewer?StudyInstanceUIDs={study_uid}")
        screen = Screen(page=page, size=size, shots=shots)
        screen.wait(lambda: screen.position() > 0, "the first image")
        yield screen
