"""Operating points keep their promise; a calibration is found again and written whole."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.evaluation.calibration.temperature import TEMPERATURES, calibrate_scores, rescaled
from pipeline.evaluation.calibration.write import write_calibration
from pipeline.metrics.operating_points import SENSITIVE, SPECIFIC, YOUDEN, operating_points
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import Labels, Values
from pipeline.model.manifest import BUNDLED, read_manifest


def drawn(cases: int, temperature: float) -> tuple[Labels, Values]:
    """Labels, and scores whose log-odds are `temperature` times too large."""
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, cases)
    labels = rng.random(cases) < 1 / (1 + np.exp(-logit))
    return labels, 1 / (1 + np.exp(-logit * temperature))


def test_threshold_lies_in_the_middle_of_the_gap() -> None:
    labels, scores = np.array([True, True, False, False]), np.array([0.8, 0.9, 0.1, 0.2])

    assert [point.threshold for point in operating_points(labels, scores)] == [
        pytest.approx(0.5)
    ] * 3


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_points_are_as_good_as_any_threshold(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([label for label, _ in rows])
    scores = np.array([(score + 1) / 10 for _, score in rows])
    above = scores > np.r_[0.0, np.unique(scores)][:, None]
    sens, spec = above[:, labels].mean(axis=1), 1 - above[:, ~labels].mean(axis=1)

    found = {point.name: point for point in operating_points(labels, scores)}

    gained = found[YOUDEN].sensitivity.value + found[YOUDEN].specificity.value
    assert gained == pytest.approx((sens + spec).max())
    assert found[SENSITIVE].sensitivity.value >= 0.95
    assert found[SENSITIVE].specificity.value == pytest.approx(spec[sens >= 0.95].max())
    assert found[SPECIFIC].specificity.value >= 0.95
    assert found[SPECIFIC].sensitivity.value == pytest.approx(sens[spec >= 0.95].max())


def test_a_point_says_what_it_reached_and_on_how_many() -> None:
    labels, scores = drawn(500, 1.0)
    point = operating_points(labels, scores)[1]

    assert f"{point.sensitivity.count}/{labels.sum()}" in point.source
    assert f"{point.specificity.count}/{(~labels).sum()}" in point.source
    assert "on the cases that chose it" in point.source


def test_temperature_is_found_again_and_multiplies_the_old_one() -> None:
    labels, scores = drawn(20_000, 1.7)

    found = calibrate_scores(labels, scores, old_temperature=2.0)

    assert found.temperature == pytest.approx(3.4, rel=0.05)
    assert found.after.slope == pytest.approx(1, abs=0.05)
    assert found.after.brier < found.before.brier
    assert (np.argsort(found.scores) == np.argsort(scores)).all()


def test_temperature_of_separable_cases_stays_within_bounds() -> None:
    labels = np.arange(20) % 2 == 0

    found = calibrate_scores(labels, np.where(labels, 1.0, 0.0), old_temperature=1.0)

    assert TEMPERATURES[0] <= found.temperature <= TEMPERATURES[1]
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize(("apart", "bound"), [(1.0, True), (0.0, True), (0.3, False)])
def test_a_temperature_at_its_bound_is_known(apart: float, bound: bool) -> None:
    labels, scores = drawn(400, 1.0)
    mixed = apart * labels + 0.3 * scores if apart == 1.0 else scores
    noise = np.random.default_rng(1).random(400)
    scores = noise if apart == 0.0 else np.clip(mixed, 0.001, 0.999)

    assert calibrate_scores(labels, scores, 1.0).at_bound is bound


def test_rescaling_is_undone_by_its_inverse() -> None:
    scores = np.linspace(0.01, 0.99, 99)

    np.testing.assert_allclose(rescaled(rescaled(scores, 3.0), 1 / 3.0), scores)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "model"))


def cases_of(labels: Labels, scores: Values) -> ScoredCases:
    return ScoredCases(
        patients=tuple(str(i) for i in range(len(labels))), labels=labels, scores=scores
    )


def test_calibration_is_written_and_the_rest_kept(folder: Path) -> None:
    before = json.loads((folder / "manifest.json").read_text())
    before["operating_points"]["ward"] = {"threshold": 0.7, "from": "the ward"}
    (folder / "manifest.json").write_text(json.dumps(before))
    old = before["calibration"]["temperature"]
    cases = cases_of(*drawn(300, 1.5))
    calibrated = calibrate_scores(cases.labels, cases.scores, old)

    write_calibration(folder, calibrated, cases, point=SENSITIVE)

    after = read_manifest(folder)[0]
    assert after.calibration.temperature == calibrated.temperature
    points = after.operating_points
    assert points.keys() == {"default", "ward", YOUDEN, SENSITIVE, SPECIFIC}
    assert points["default"] == points[SENSITIVE]
    assert "300 cases of 300 patients" in points["default"].source
    assert after.networks == read_manifest(BUNDLED)[0].networks
    assert [path.name for path in folder.iterdir() if "manifest" in path.name] == ["manifest.json"]


def test_points_of_others_call_the_same_cases_as_before(folder: Path) -> None:
    cases = cases_of(*drawn(300, 1.5))
    old = read_manifest(folder)[0]
    calibrated = calibrate_scores(cases.labels, cases.scores, old.calibration.temperature)
    raw = json.loads((folder / "manifest.json").read_text())
    raw["operating_points"]["ward"] = {"threshold": 0.7, "from": "the ward"}
    (folder / "manifest.json").write_text(json.dumps(raw))

    ward = write_calibration(folder, calibrated, cases, point=YOUDEN).operating_points["ward"]

    assert ((calibrated.scores > ward.threshold) == (cases.scores > 0.7)).all()
    assert ward.threshold != 0.7


def test_an_unknown_point_changes_nothing(folder: Path) -> None:
    raw = (folder / "manifest.json").read_bytes()
    cases = cases_of(*drawn(50, 1.0))

    with pytest.raises(ValueError, match=r"expected a point of youden, .*, got best"):
        write_calibration(
            folder,
            calibrate_scores(cases.labels, cases.scores, 1.0),
            cases,
            point="best",
        )

    assert (folder / "manifest.json").read_bytes() == raw


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    cases = cases_of(*drawn(50, 1.0))

    with pytest.raises(ModelError, match=r"manifest\.json"):
        write_calibration(
            tmp_path,
            calibrate_scores(cases.labels, cases.scores, 1.0),
            cases,
            point=YOUDEN,
        )
