"""The page for sites with data of their own is followed, from folders of DICOM to a model."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.model.manifest import read_manifest
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "own-data.md"
QUICK = {  # what keeps a command short; all else is as the page has it
    "train classifier": ["--steps", "2", "--judge-every", "1", "--rows", "32", "--columns", "48"],
    "stability": ["--change", "margin 8 mm"],
    "compare": ["--steps", "1", "--rows", "32", "--columns", "48"],
}
SPLITS = ("train",) * 4 + ("validation",) * 6 + ("test",) * 4
"""As few as there may be: drawn by lot they would have to be more."""


def commands() -> list[list[str]]:
    lines = re.findall(r"^    dicom-node (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def make_cases(folder: Path) -> None:
    """Write twelve small chests, those with opacities as the positive ones, and their list."""
    rows = ["path,patient,label,split,scanner"]
    for number, split in enumerate(SPLITS):
        label = number % 2
        spec = PhantomSpec(seed=number + 1, slices=30, size=64, spacing_mm=10.0, lesions=4 * label)
        write_series(
            phantom_datasets(make_phantom(spec), seed=number + 1),
            folder / "series" / f"{number:04d}",
        )
        scanner = "north" if number // 2 % 2 else "south"
        rows.append(f"series/{number:04d},patient-{number},{label},{split},{scanner}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")


def test_the_page_has_the_whole_way() -> None:
    names = [
        " ".join(words[:2]) if words[0] in {"train", "model"} else words[0] for words in commands()
    ]
    assert names == [
        "train classifier",
        "calibrate",
        "evaluate",
        "stability",
        "compare",
        "train classifier",
        "model show",
        "model verify",
    ]
    assert len(names) == 8
    assert "in eight commands" in PAGE.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_following_the_page_ends_with_a_model_that_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cases(tmp_path)
    monkeypatch.chdir(tmp_path)

    for words in commands():
        quick = next((more for name, more in QUICK.items() if " ".join(words).startswith(name)), [])
        done = CliRunner().invoke(app, [*words, *quick], catch_exceptions=False)
        assert done.exit_code == 0, words

    manifest, _ = read_manifest(tmp_path / "runs" / "own" / "model")
    assert manifest.conformal is not None
    assert manifest.card.trained_on[-1].endswith("CT of our hospital, 2024 to 2026")
    for written in (
        "report/report.html",
        "report/by-scanner.csv",
        "stability/stability.md",
        "comparison/comparison.md",
        "runs/left-out/left-out.md",
    ):
        assert (tmp_path / written).stat().st_size
