"""Groups of scanners: by the list's word, or by what the images say; no patient in two."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from pipeline.cases.case_list import Case
from pipeline.cases.scanners import (
    CaseScanner,
    case_scanner,
    group_of,
    named_scanners,
    scanner_groups,
)
from pipeline.errors import PipelineError
from pipeline.series.attributes import MAX_SCANNER, scanner_of
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of four images, one of which does not name its maker, and a note beside them."""
    folder = tmp_path_factory.mktemp("series")
    spec = PhantomSpec(seed=1, slices=4, size=32, spacing_mm=10.0, lesions=0)
    datasets = phantom_datasets(make_phantom(spec), seed=1)
    for number, dataset in enumerate(datasets):
        dataset.Manufacturer = "MAKER" if number else ""
        dataset.ManufacturerModelName = "Model 7"
    write_series(datasets, folder)
    (folder / "note.txt").write_text("no images")
    return folder


def row(path: Path, patient: str = "SECRET", *, scanner: str = "", line: int = 2) -> Case:
    return Case(
        path=path, patient=patient, label=1, scanner=scanner, place=f"cases.csv line {line}"
    )


def test_images_name_the_scanner_where_the_list_does_not(series: Path) -> None:
    named = row(series, scanner="north")

    assert case_scanner(row(series)) == CaseScanner(group="MAKER Model 7", name="MAKER Model 7")
    assert case_scanner(named) == CaseScanner(group="north", name="MAKER Model 7")
    assert (group_of(row(series)), group_of(named)) == ("MAKER Model 7", "north")


def test_of_other_files_the_word_of_the_list_is_the_name(tmp_path: Path) -> None:
    assert case_scanner(row(tmp_path / "ct.nii.gz", scanner="north")) == CaseScanner(
        group="north", name="north"
    )
    assert case_scanner(row(tmp_path / "ct.nii.gz")) == CaseScanner(group="", name="")


def test_a_name_is_one_that_can_be_stored(series: Path) -> None:
    header = dcmread(next(series.glob("*.dcm")))
    header.Manufacturer, header.ManufacturerModelName = "A\tB", "x" * 64

    name = scanner_of(header)

    assert name.startswith("A B xxx")
    assert len(name) == MAX_SCANNER


def test_each_case_has_its_group(series: Path) -> None:
    rows = [row(series, "a"), row(Path("b.npz"), "b", scanner="north")]

    assert scanner_groups(rows) == ("MAKER Model 7", "north")


def test_a_patient_of_two_groups_is_refused_by_the_rows(series: Path) -> None:
    rows = [
        row(Path("a.npz"), scanner="north"),
        row(Path("b.npz"), "other", scanner="south", line=3),
        row(Path("c.npz"), scanner="south", line=4),
    ]

    with pytest.raises(PipelineError) as fault:
        scanner_groups(rows)

    assert str(fault.value) == (
        "cases.csv line 4: the scanner group of the patient's row in cases.csv line 2 expected"
        " (north), got south: no patient may be on both sides"
    )
    assert "SECRET" not in str(fault.value)


def test_cases_of_no_scanner_or_all_of_one_are_refused() -> None:
    north = row(Path("a.npz"), "a", scanner="north")

    with pytest.raises(PipelineError, match=r"at least 2 groups .* expected .* got north alone"):
        scanner_groups([north, replace(north, patient="b")])
    with pytest.raises(PipelineError, match=r"cases.csv line 3: a scanner expected, got none"):
        scanner_groups([north, row(Path("b.npz"), "b", line=3)])


def test_a_scanner_in_two_groups_tells_none(series: Path) -> None:
    first, second = row(series, scanner="north"), row(series, "b", scanner="south", line=3)

    with pytest.raises(PipelineError) as fault:
        named_scanners([first, second])

    assert str(fault.value) == (
        "cases.csv line 3: the group of the scanner MAKER Model 7 in cases.csv line 2 expected"
        " (north), got south"
    )
    assert [one.name for one in named_scanners([first, first])] == ["MAKER Model 7"] * 2
