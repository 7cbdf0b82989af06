"""A web viewer (OHIF) shows every kind of result in its place, checked pixel by pixel."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.encode.heatmap.shown_slices import shown_slices
from pipeline.encode.result.kinds import RESULT_KINDS, ResultKind
from pipeline.encode.result.products import DEFAULT_HEATMAP_STEP_MM as HEATMAP_STEP_MM
from pipeline.encode.result.series_numbers import DEFAULT_SERIES_NUMBER_BASE
from pipeline.types import Side
from tests.acceptance.support import viewed, viewer
from tests.acceptance.support.orthanc import running_orthanc
from tests.acceptance.support.screen import Pixels, Screen, colourful, study_open
from tests.acceptance.support.viewed import Study

INSTALLED = (
    (viewer.FOLDER / "index.html").exists()
    and viewer.CHROMIUM.exists()
    and shutil.which("Orthanc") is not None
    and importlib.util.find_spec("playwright") is not None
)
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.viewer,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not INSTALLED, reason="not installed: OHIF (deploy/install-viewer.sh)"),
]

NEAR = 3  #: pixels between what is drawn and where it belongs: a line, its shadow, interpolation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("viewer")


@pytest.fixture(scope="module")
def pacs_and_study(folder: Path) -> Iterator[tuple[str, Study]]:
    with running_orthanc(folder, **viewer.ORTHANC) as pacs:
        study = viewed.load(pacs, folder)
        with viewer.serving(pacs.rest) as address:
            yield address, study


@pytest.fixture(scope="module")
def study(pacs_and_study: tuple[str, Study]) -> Study:
    return pacs_and_study[1]


@pytest.fixture(scope="module")
def screen(pacs_and_study: tuple[str, Study], folder: Path) -> Iterator[Screen]:
    """The study in a browser; screenshots are kept in DICOM_NODE_SHOTS, if that is set."""
    shots = Path(os.environ.get("DICOM_NODE_SHOTS", folder / "shots"))
    shots.mkdir(exist_ok=True)
    address, study = pacs_and_study
    size = study.phantom.hu.shape[1]
    with study_open(address, study.study_uid, size=size, shots=shots) as opened:
        yield opened


def number(kind: ResultKind) -> int:
    return DEFAULT_SERIES_NUMBER_BASE + RESULT_KINDS[kind].series_offset


def largest(study: Study) -> tuple[int, NDArray[np.bool_]]:
    """Label of the largest opacity, and where it is on its key slice."""
    lesion = max(study.analysis.lesions, key=lambda lesion: lesion.volume_mm3)
    return lesion.key_slice, study.phantom.lesions[lesion.key_slice] == lesion.number


def shown_at(study: Study, index: int) -> int:
    """Position of a slice among those of the CT: the viewer begins at the head."""
    return len(study.phantom.hu) - index


def grown(mask: NDArray[np.bool_], pixels: int = NEAR) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels))


def shrunk(mask: NDArray[np.bool_], pixels: int = NEAR) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_erosion(mask, iterations=pixels))


def has_colour(image: Pixels) -> bool:
    return bool(colourful(image).sum() > 20)


def test_the_ct_comes_up_grey(screen: Screen, study: Study) -> None:
    screen.open(2)
    index, _ = largest(study)
    screen.go_to(shown_at(study, index))

    seen = screen.settled("ct", lambda image: int(np.ptp(image)) > 100)

    assert not colourful(seen).any()
    body = seen.mean(-1)
    truth = np.clip(study.phantom.hu[index], -1350, 150)  # the lung window of the series
    assert np.corrcoef(body.ravel(), truth.ravel())[0, 1] > 0.95  # neither flipped nor shifted


def test_the_segmentation_lies_on_lungs_and_opacities(screen: Screen, study: Study) -> None:
    index, lesion = largest(study)
    lungs = study.phantom.lungs[index] > 0
    screen.open(number(ResultKind.SEGMENTATION))
    screen.accept()
    screen.wait(lambda: has_colour(screen.image()), "the segmentation")
    screen.go_to(shown_at(study, index))

    seen = screen.settled("segmentation", has_colour)

    colour = colourful(seen)
    assert colour[shrunk(lungs | lesion)].mean() > 0.95
    assert colour[~grown(lungs | lesion)].mean() < 0.001
    right, left = (
        seen[shrunk((study.phantom.lungs[index] == side) & ~grown(lesion))].mean(0)
        for side in (1, 2)
    )
    inside = seen[shrunk(lesion)].mean(0)
    apart = [np.abs(np.subtract(*pair)).max() for pair in ((right, left), (inside, left))]
    assert min(apart) > 30  # the two lungs and the opacity have colours of their own


def test_the_report_opens_with_its_measurements_and_goes_to_each_opacity(
    screen: Screen, study: Study
) -> None:
    screen.open(number(ResultKind.REPORT))
    screen.wait(lambda: "SR" in screen.text(), "the report")
    seen = screen.settled("report", has_colour)
    lungs = study.phantom.lungs[shown_at(study, screen.position())] > 0
    edge = grown(lungs) & ~shrunk(lungs)
    assert colourful(seen)[edge].mean() > 0.05  # outlined, where the lungs are
    involved = study.analysis.involvement
    assert involved.total is not None
    assert screen.beside_outlines() == [
        f"Score {viewed.SCORE}",
        f"Threshold {viewed.THRESHOLD}",
        f"Opacities {100 * involved.total:.1f} %",
        "Research use only",
        f"Volume: {round(involved.total_ml, 1):.2f} mL",
    ]

    for side, share in ((Side.LEFT, involved.left), (Side.RIGHT, involved.right)):
        assert share is not None
        screen.next_measurement("left")  # the lungs are the last
        screen.settled(f"report-{side}-lung", has_colour)
        assert screen.beside_outlines()[:2] == [
            f"{side.capitalize()} lung",
            f"Opacities {100 * share:.1f} %",
        ]

    index, lesion = largest(study)
    screen.wait(lambda: goes_on_to(screen, shown_at(study, index)), "the largest opacity")
    seen = screen.settled("report-opacity", has_colour)

    edge = grown(lesion) & ~shrunk(lesion)
    assert colourful(seen)[edge].mean() > 0.1
    found = max(study.analysis.lesions, key=lambda lesion: lesion.volume_mm3)
    shown = screen.beside_outlines()
    first = shown.index(f"Opacity {found.number}, {found.side}")
    assert shown[first + 1] == f"{found.volume_mm3 / 1000:.1f} ml, {found.long_axis_mm:.0f} mm"
    assert shown[first + 2] == f"{found.mean_hu:.0f} HU"
    assert shown[first + 3].startswith("Area: ")


def goes_on_to(screen: Screen, position: int) -> bool:
    screen.next_measurement()
    return screen.position() == position


def test_the_page_has_letters_bars_and_pictures(screen: Screen) -> None:
    screen.open(number(ResultKind.SUMMARY))

    page = screen.settled("page", has_colour)

    assert page.astype(float).std() > 20


def test_the_heatmap_scrolls_as_the_ct_and_is_in_colour(screen: Screen, study: Study) -> None:
    screen.open(number(ResultKind.HEATMAP))
    index, _ = largest(study)
    shown = [item.index for item in shown_slices(study.series, study.analysis, HEATMAP_STEP_MM)]
    screen.go_to(sum(other >= index for other in shown))
    seen = screen.settled("heatmap", has_colour)
    assert 20 < colourful(seen).sum() < 0.5 * seen[..., 0].size


def test_the_activation_lies_on_the_opacity(screen: Screen, study: Study) -> None:
    index, lesion = largest(study)
    screen.open(number(ResultKind.PARAMETRIC_MAP))
    screen.wait(lambda: has_colour(screen.image()), "the activation")
    screen.go_to(shown_at(study, index))

    seen = screen.settled("activation", has_colour)

    colour = colourful(seen)
    assert colour[lesion].mean() > 0.5
    # the viewer lays its own player over the picture
    assert colour[~grown(study.phantom.lesions[index] > 0, 12)].mean() < 0.01


def test_reports_in_words_are_read_as_words(screen: Screen) -> None:
    for kind, words in (
        (ResultKind.TEXT_REPORT, "Research use only. .*score 0.443, threshold 0.439"),
        (ResultKind.NOTICE, "NOT analysed"),
    ):
        screen.open(number(kind))
        screen.wait(lambda words=words: re.search(words, screen.text(), re.S) is not None, words)
        screen.page.screenshot(path=screen.shots / f"{kind}.png")
