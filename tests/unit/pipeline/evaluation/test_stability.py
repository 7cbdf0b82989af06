"""A scan is changed as it says, its scores are held together, and tables follow from them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case
from pipeline.errors import PipelineError
from pipeline.evaluation.stability import (
    AS_IT_CAME,
    ChangedScore,
    changed_scores,
    changes,
    flipped,
    grown,
    half_matrix,
    kernel,
    names_of,
    shifted,
    spreads,
    thick,
    turned,
)
from pipeline.evaluation.stability_report import plot, read_scores, table, write_scores
from pipeline.model.loading import device_for, load
from pipeline.model.manifest import BUNDLED
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import Answer, CtVolume

SPACING = (2.0, 0.8, 0.8)


def scan() -> CtVolume:
    """Noise, with a rising attenuation along the body and a dense block on the right."""
    rng = np.random.default_rng(2)
    hu = rng.normal(-700, 60, (12, 40, 48)) + 20 * np.arange(12)[:, None, None]
    hu[4:8, 10:20, 6:16] = 40
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, SPACING[2]], [0, SPACING[1], 0], [SPACING[0], 0, 0]]
    return CtVolume(
        hu=hu.astype(np.int16), affine=affine, frame_of_reference_uid="", source=(None,) * 12
    )


def middle_of(volume: CtVolume) -> np.ndarray:
    """Centre of the dense block, mm."""
    index = np.argwhere(volume.hu > -200).mean(axis=0)
    place: np.ndarray = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
    return place


def test_each_change_does_what_its_name_says() -> None:
    plain = scan()

    assert kernel(plain, -1.0).hu.std() < plain.hu.std() < kernel(plain, 0.8).hu.std()
    assert shifted(plain, 20).hu.mean() == pytest.approx(plain.hu.mean() + 20)
    there_and_back = turned(turned(plain, 4.0), -4.0)
    assert np.abs(there_and_back.hu[:, 12:28, 14:34] - plain.hu[:, 12:28, 14:34]).mean() < 50
    np.testing.assert_array_equal(flipped(flipped(plain, 2), 2).hu, plain.hu)


@pytest.mark.parametrize("change", [half_matrix, lambda volume: thick(volume, 3.0)])
def test_what_is_resampled_stays_in_its_place(change: Callable[[CtVolume], CtVolume]) -> None:
    plain = scan()
    changed = change(plain)

    np.testing.assert_allclose(middle_of(changed), middle_of(plain), atol=0.8)
    assert changed.hu[2:-2].mean() == pytest.approx(plain.hu[2:-2].mean(), abs=40)


def test_the_matrix_is_halved_and_slices_get_their_thickness() -> None:
    assert half_matrix(scan()).shape == (12, 20, 24)
    assert half_matrix(scan()).spacing_mm == pytest.approx((2.0, 1.6, 1.6))
    assert thick(scan(), 3.0).spacing_mm == pytest.approx((3.0, 0.8, 0.8))
    assert thick(scan(), 3.0).shape == (8, 40, 48)


def test_a_mask_grows_and_shrinks_in_the_plane_and_keeps_its_labels() -> None:
    labels = np.zeros((3, 30, 30), np.uint8)
    labels[1, 8:22, 3:14], labels[1, 8:22, 16:27] = 1, 2

    wide, narrow = grown(labels, 3), grown(labels, -3)

    assert set(np.unique(wide)) == {0, 1, 2}
    assert wide.sum() > labels.sum() > narrow.sum() > 0
    assert not wide[0].any()


def test_slices_are_made_thicker_only_than_they_are() -> None:
    names = {spacing: [change.name for change in changes(spacing)] for spacing in (1.0, 4.0, 5.0)}

    assert len(names[1.0]) == 17
    assert names[1.0][0] == AS_IT_CAME
    assert set(names[1.0]) - set(names[4.0]) == {"slices of 3 mm"}
    assert set(names[4.0]) - set(names[5.0]) == {"slices of 5 mm"}


SCORES = (
    ChangedScore(case="a", change=AS_IT_CAME, score=0.5, answer=Answer.ABOVE),
    ChangedScore(case="a", change="mirrored", score=0.1, answer=Answer.BELOW),
    ChangedScore(case="b", change=AS_IT_CAME, score=0.3, answer=Answer.INDETERMINATE),
    ChangedScore(case="b", change="+20 HU", score=0.32, answer=Answer.INDETERMINATE),
)


def test_the_spread_of_each_case_is_that_of_its_scores(tmp_path: Path) -> None:
    first, second = spreads(SCORES)

    assert (first.as_it_came, first.low, first.high) == (0.5, 0.1, 0.5)
    assert first.deviation == pytest.approx(0.2)
    assert first.answers == (Answer.BELOW, Answer.ABOVE)
    assert (first.changes_side, second.changes_side) == (True, False)
    made = table(SCORES)
    assert "| a | 0.500 | 0.200 | 0.100 | 0.500 | below, above |" in made
    assert "| mirrored | -0.400 | – |" in made
    write_scores(tmp_path / "s.csv", SCORES)
    assert read_scores(tmp_path / "s.csv") == SCORES
    assert plot(SCORES, (0.2, 0.4)).startswith(b"\x89PNG")


def test_cases_are_named_by_what_tells_their_paths_apart() -> None:
    def named(*paths: str) -> list[str]:
        return names_of([Case(path=Path(path), patient="p") for path in paths])

    assert named("/d/a", "/d/b") == ["a", "b"]
    assert named("/d/a/ct", "/d/b/ct", "/d/c/pt") == ["a/ct", "b/ct", "c/pt"]


def test_a_prepared_case_has_no_scan_to_change() -> None:
    models = load(BUNDLED, device_for("cpu"))
    case = Case(path=Path("x.npz"), patient="p", place="cases.csv line 2")
    with pytest.raises(PipelineError, match="a scan expected"):
        next(changed_scores(case, "x", models))


@pytest.mark.slow
def test_the_command_writes_table_scores_and_plot_and_holds_a_bound(tmp_path: Path) -> None:
    spec = PhantomSpec(seed=4, slices=40, size=96, spacing_mm=7.5, lesions=0)
    image = sitk.GetImageFromArray(make_phantom(spec).hu)
    image.SetSpacing((spec.field_mm / spec.size, spec.field_mm / spec.size, spec.spacing_mm))
    sitk.WriteImage(image, str(tmp_path / "chest.nii.gz"))
    cases, out = tmp_path / "cases.csv", tmp_path / "out"
    (tmp_path / "empty").mkdir()
    cases.write_text(
        "path,patient,split\nnot-listed-to-test,q,train\nempty,r,test\nchest.nii.gz,p,test\n"
    )
    (tmp_path / "not-listed-to-test").mkdir()
    command = ["stability", "--cases", str(cases), "--out", str(out), "--at-most", "1e-9"]

    done = CliRunner().invoke(app, [*command, "--change", "margin 12 mm"])
    unknown = CliRunner().invoke(app, [*command, "--change", "margin 13 mm"])
    none = CliRunner().invoke(app, [*command, "--split", "train"])

    assert isinstance(done.exception, NodeError)
    assert "at most 1e-09" in str(done.exception)
    assert "more deviate: chest.nii.gz" in str(done.exception)
    assert "without scores: cases.csv line 3" in str(done.exception)
    assert "2 test cases of the 3 cases of cases.csv" in done.output
    assert "no scores: cases.csv line 3: " in done.output
    assert "at least one case that can be scored, got none" in str(none.exception)
    scores = read_scores(out / "stability.csv")
    assert [one.change for one in scores] == [AS_IT_CAME, "margin 12 mm"]
    assert (out / "stability.md").read_text() == table(scores)
    assert (out / "stability.png").read_bytes().startswith(b"\x89PNG")
    assert "got margin 13 mm" in str(unknown.exception)
