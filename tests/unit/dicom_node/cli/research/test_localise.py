"""`dicom-node localise` compares on prepared cases and against readers' slice labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import UsageError
from pipeline.cases.prepared import Prepared, save
from pipeline.cases.slice_labels import SliceLabels, read_slice_labels
from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.slices import agreement
from pipeline.model.manifest import BUNDLED, read_manifest

SHAPE = (24, 64, 96)
SYSTEMS = {
    "3DCC alone",
    "3DCC alone, 6 x 6 blocks",
    *(
        f"{before}{title}"
        for before in ("", "3DCC + ", "ours, ")
        for title in ("evidence map", "NormGrad", "LayerCAM", "HiResCAM", "Grad-CAM")
    ),
}


def case(*, lesion: bool) -> Prepared:
    """Two blocks of aerated lung, one with a patch of ground glass."""
    rng = np.random.default_rng(4)
    lungs = np.zeros(SHAPE, np.bool_)
    lungs[2:22, 6:58, 6:44] = lungs[2:22, 6:58, 52:90] = True
    lesions = np.zeros(SHAPE, np.bool_)
    lesions[6:14, 34:54, 10:30] = lesion
    hu = np.where(lungs, -860, 40) + rng.normal(0, 15, SHAPE)
    hu[lesions] += 400
    return Prepared(
        hu=hu.astype(np.int16),
        lungs=lungs,
        lesions=lesions,
        lesions_known=True,
        size_mm=(60.0, 220.0, 300.0),
        label=int(lesion),
        sampling=read_manifest(BUNDLED)[0].networks.classifier.input.sampling,
    )


def test_command_writes_page_figures_and_curves(tmp_path: Path) -> None:
    save(tmp_path / "ill.npz", case(lesion=True))
    save(tmp_path / "well.npz", case(lesion=False))
    save(tmp_path / "other.npz", case(lesion=False))
    (tmp_path / "cases.csv").write_text(
        "path,patient,label,split\nill.npz,a,1,test\nwell.npz,b,0,test\nother.npz,c,0,train\n"
    )

    result = CliRunner().invoke(
        app,
        [
            "localise",
            "--cases",
            str(tmp_path / "cases.csv"),
            "--split",
            "test",
            "--out",
            str(tmp_path / "out"),
            "--device",
            "cpu",
        ],
    )

    assert result.exit_code == 0, result.output
    compared = json.loads((tmp_path / "out" / "localisation.json").read_text())["comparison"]
    assert (compared["cases"], compared["patients"], compared["positive"]) == (2, 2, 1)
    assert {system["system"] for system in compared["systems"]} == SYSTEMS
    assert all(system["hit"]["total"] == 1 for system in compared["systems"])
    page = (tmp_path / "out" / "table-5.md").read_text()
    assert "0.438 (32/73)" in page  # the paper's own figure beside ours
    assert all(f"| {system} |" in page for system in SYSTEMS)
    assert (tmp_path / "out" / "froc.png").read_bytes().startswith(b"\x89PNG")

    verdicts = str(tmp_path / "out" / "verdicts.csv")
    again = CliRunner().invoke(
        app, ["localise", "--verdicts", verdicts, "--out", str(tmp_path / "again")]
    )

    assert again.exit_code == 0, again.output
    tables = page[page.index("## On cases") :]
    assert tables in (tmp_path / "again" / "table-5.md").read_text()


def test_a_list_without_known_lesions_is_told_before_any_series_is_looked_at(
    chest: Path, tmp_path: Path
) -> None:
    save(tmp_path / "well.npz", case(lesion=False))
    (tmp_path / "cases.csv").write_text("path,patient,label\nwell.npz,b,0\n")
    (tmp_path / "labels.csv").write_text("no labels\n")

    cases = ["--cases", str(tmp_path / "cases.csv")]
    slices = ["--slices", f"{chest}:{tmp_path / 'labels.csv'}"]
    answer = CliRunner().invoke(app, ["localise", *cases, *slices, "--out", str(tmp_path / "out")])

    assert str(answer.exception) == "cases with known lesions expected, got none"


def test_labels_that_are_none_are_told_with_their_file(chest: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("no labels\n")

    slices = ["--slices", f"{chest}:{tmp_path / 'labels.csv'}"]
    answer = CliRunner().invoke(app, ["localise", *slices, "--out", str(tmp_path / "out")])

    assert isinstance(answer.exception, PipelineError)
    assert str(answer.exception).startswith("labels.csv: slice labels with z_mm, infected")


def test_command_scores_a_series_by_its_slice_labels(chest: Path, tmp_path: Path) -> None:
    headers = [dcmread(file, stop_before_pixels=True) for file in chest.iterdir()]
    z_mm = sorted(float(header.ImagePositionPatient[2]) for header in headers)
    infected = [int(index < 20) for index in range(len(z_mm))]
    rows = [f"{z},{ill},{ill},0,0,0,0" for z, ill in zip(z_mm, infected, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["z_mm,infected,LLL,LUL,RLL,RML,RUL", *rows]))

    result = CliRunner().invoke(
        app,
        ["localise", "--slices", f"{chest}:{tmp_path / 'labels.csv'}", "--out", str(tmp_path)],
    )

    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "localisation.json").read_text())["slices"][chest.name]
    assert len(scores) == 5  # a line for each activation of DeCoVNet
    for score in scores:
        assert score["slices"]["sensitivity"]["total"] == 20
        assert score["slices"]["specificity"]["total"] == len(z_mm) - 20
        assert score["lobes"].keys() == {"LLL"}
    assert f"### {chest.name}" in (tmp_path / "table-5.md").read_text()


def test_a_case_of_another_label_is_refused_by_its_row(tmp_path: Path) -> None:
    save(tmp_path / "SECRET.npz", case(lesion=True))
    (tmp_path / "cases.csv").write_text("path,patient,label\nSECRET.npz,a,0\n")

    answer = CliRunner().invoke(
        app, ["localise", "--cases", str(tmp_path / "cases.csv"), "--out", str(tmp_path / "out")]
    )

    assert isinstance(answer.exception, PipelineError)
    assert str(answer.exception) == (
        "cases.csv line 2: the list's label 0 expected in the case, got 1"
    )


def test_command_wants_something_to_compare_on(tmp_path: Path) -> None:
    nothing = CliRunner().invoke(app, ["localise", "--out", str(tmp_path)])
    absent = CliRunner().invoke(app, ["localise", "--slices", "x:y.csv", "--out", str(tmp_path)])

    assert isinstance(nothing.exception, UsageError)
    assert isinstance(absent.exception, UsageError)
    assert "FOLDER:LABELS.csv" in str(absent.exception)


@pytest.mark.parametrize(
    "words",
    [
        "stability --change none",
        "compare --network none",
        "train classifier --network none",
        "train classifier --start none",
        "train lungs --size 65",
    ],
)
def test_names_and_sizes_that_there_are_not_are_refused_first(words: str, tmp_path: Path) -> None:
    cases = tmp_path / "cases.csv"
    cases.touch()

    ended = CliRunner().invoke(
        app, [*words.split(), "--cases", str(cases), "--out", str(tmp_path / "folder")]
    )

    assert isinstance(ended.exception, UsageError), ended.output
    assert not (tmp_path / "folder").exists()


LABELS = """instance_number,z_mm,infected,LLL,LUL,RLL,RML,RUL
1,-10.0,1,1,0,0,0,0
2,-12.0,1,0,0,1,0,1
3,-14.0,0,0,0,0,0,0
4,-16.0,0,0,0,0,0,0
"""


@pytest.fixture
def labels(tmp_path: Path) -> SliceLabels:
    (tmp_path / "labels.csv").write_text(LABELS)
    return read_slice_labels(tmp_path / "labels.csv")


def test_marks_are_held_against_labels_slice_by_slice_and_side_by_side(
    labels: SliceLabels,
) -> None:
    marked = np.array([[30, 0, 10, 0], [0, 60, 0, 0]])  # right; left

    score = agreement("any", marked, labels)

    assert score.slices.sensitivity is not None
    assert (score.slices.sensitivity.count, score.slices.sensitivity.total) == (2, 2)
    assert score.slices.specificity is not None
    assert (score.slices.specificity.count, score.slices.specificity.total) == (1, 2)
    assert score.inside == pytest.approx(0.9)
    right, left = score.sides["right"], score.sides["left"]
    assert right.sensitivity is not None
    assert (right.sensitivity.count, right.sensitivity.total) == (0, 1)
    assert right.specificity is not None
    assert (right.specificity.count, right.specificity.total) == (1, 3)
    assert left.specificity is not None
    assert (left.specificity.count, left.specificity.total) == (2, 3)
    assert {lobe: (p.count, p.total) for lobe, p in score.lobes.items()} == {
        "LLL": (0, 1),
        "RLL": (0, 1),
        "RUL": (0, 1),
    }


def test_nothing_marked_is_no_share_of_volume(labels: SliceLabels) -> None:
    assert agreement("any", np.zeros((2, 4), np.intp), labels).inside is None


def test_without_lobes_nothing_is_said_of_sides(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("z_mm,infected\n-10,1\n-12,0\n")

    score = agreement("any", np.array([[3, 0], [0, 2]]), read_slice_labels(tmp_path / "labels.csv"))

    assert score.slices.sensitivity is not None
    assert score.slices.sensitivity.count == 1
    assert score.sides["left"].sensitivity is None
    assert score.lobes == {}
