"""Prediction sets and reference are fitted to one set of cases and measured on another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import NodeError
from dicom_node.maintenance.model_card import group_lines
from pipeline.cases.prepared import Prepared, save
from pipeline.cases.scanners import CaseScanner
from pipeline.classifier.conformal import conformal_thresholds, fewest_cases, rank_of
from pipeline.evaluation.calibration.fit_reference import fit_reference, reference_of
from pipeline.evaluation.calibration.temperature import calibrate_scores
from pipeline.evaluation.calibration.trust import (
    Answers,
    calibrate_trust,
    likely_kept,
    scanner_group,
)
from pipeline.evaluation.calibration.write import write_calibration, write_trust
from pipeline.metrics.scores import Origin, ScoredCases, table
from pipeline.model.loading import load, write_network
from pipeline.model.manifest import read_manifest
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.unet import UNet
from tests.support.scanner_groups import FEW, OWN, manifest_with_groups
from tests.unit.pipeline.model.test_loading import CLASSIFIER, HEAD, LUNGS

CPU = torch.device("cpu")
FEATURES = 16


def made_up(cases: int, seed: int, *, shift: float = 0.0) -> Answers:
    """Two classes that overlap in the score and lie apart in the features."""
    rng = np.random.default_rng(seed)
    labels = np.arange(cases) % 2 == 0
    mixing = np.random.default_rng(0).standard_normal((FEATURES, FEATURES))
    features = rng.standard_normal((cases, FEATURES)) @ mixing + 30.0 * labels[:, None] + shift
    return Answers(
        patients=tuple(f"p{index}" for index in range(cases)),
        labels=labels,
        scores=np.where(labels, rng.beta(5, 2, cases), rng.beta(2, 5, cases)),
        features=features,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with networks that have learnt nothing and see small pictures."""
    torch.manual_seed(0)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(HEAD))
    small = {**CLASSIFIER["input"], "rows": 32, "columns": 48, "slice_mm": 12.0}  # type: ignore[dict-item]  # a mapping
    write_network(folder, "lungs", UNet().state_dict(), LUNGS)
    write_network(folder, "classifier", DeCoVNet().state_dict(), {**CLASSIFIER, "input": small})
    return folder


def test_few_cases_of_the_kind_and_all_of_another_lie_beyond_the_limit() -> None:
    own, new, other = made_up(600, 1), made_up(600, 2), made_up(50, 3, shift=15.0)
    fitted = fit_reference(own.features, own.labels, own.patients)

    def beyond(cases: Answers) -> float:
        distances = [fitted.reference.distance(case) for case in cases.features]
        return float(np.mean(np.array(distances) > fitted.limit))

    assert 0.0 < beyond(new) < 0.03
    assert beyond(other) == 1.0


def test_each_class_has_its_own_mean() -> None:
    own = made_up(400, 1)
    reference = reference_of(own.features, own.labels)

    between = own.features.mean(axis=0)  # like neither class
    assert reference.means.shape == (2, FEATURES)
    assert reference.distance(between) > 3 * reference.distance(own.features[0])


def test_cases_of_one_patient_do_not_vouch_for_each_other() -> None:
    own = made_up(60, 1)
    features, labels = np.repeat(own.features, 4, axis=0), np.repeat(own.labels, 4)
    together = [f"p{index // 4}" for index in range(len(labels))]
    apart = [f"p{index}" for index in range(len(labels))]

    honest = fit_reference(features, labels, together).limit
    assert honest > 1.2 * fit_reference(features, labels, apart).limit


def test_a_feature_that_never_moved_does_not_break_the_reference() -> None:
    own = made_up(100, 1)
    own.features[:, 3] = 0.0

    fitted = fit_reference(own.features, own.labels, own.patients)

    assert np.isfinite(fitted.limit)


def test_too_few_patients_are_refused() -> None:
    own = made_up(20, 1)

    with pytest.raises(ValueError, match="at least 5 patients expected, got 4"):
        fit_reference(own.features, own.labels, [f"p{index % 4}" for index in range(20)])


def test_coverage_is_measured_on_the_test_cases() -> None:
    trust = calibrate_trust(made_up(400, 1), made_up(1000, 2))

    for level, promise in zip(trust.conformal.levels, (0.9, 0.95), strict=True):
        assert level.coverage == promise
        for kept in (level.measured_negative, level.measured_positive):
            assert kept is not None
            assert kept.cases == 500
            assert kept.count / kept.cases == pytest.approx(promise, abs=0.05)
            assert kept.low < kept.count / kept.cases < kept.high
    assert trust.flagged is not None
    assert trust.flagged.count / trust.flagged.cases < 0.05


def test_without_test_cases_nothing_is_claimed() -> None:
    trust = calibrate_trust(made_up(40, 1), made_up(0, 2))

    assert trust.flagged is None
    assert trust.conformal.levels[0].measured_positive is None


def test_what_was_found_out_travels_with_the_model(folder: Path) -> None:
    first = write_trust(folder, calibrate_trust(made_up(40, 1), made_up(40, 2))).reference
    second = write_trust(folder, calibrate_trust(made_up(44, 3), made_up(40, 2))).reference

    models = load(folder, CPU)

    assert first is not None
    assert second is not None
    assert models.reference is not None
    assert models.reference.means.shape == (2, FEATURES)
    assert models.manifest.conformal is not None
    assert models.manifest.conformal.source == "44 validation cases of 44 patients"
    assert models.manifest.reference == second
    assert not (folder / first.file).exists()


def test_a_new_temperature_takes_the_prediction_sets_along(folder: Path) -> None:
    trust = calibrate_trust(made_up(40, 1), made_up(0, 2))  # 0.95 needs 19 cases, there are 20
    usual, wide = write_trust(folder, trust).conformal.levels  # type: ignore[union-attr]  # written
    scored, old = made_up(60, 4), read_manifest(folder)[0].calibration.temperature
    cases = ScoredCases(patients=scored.patients, labels=scored.labels, scores=scored.scores)
    calibrated = calibrate_scores(scored.labels, scored.scores, old)

    after = write_calibration(folder, calibrated, cases, point="youden")

    assert after.conformal is not None
    assert after.conformal.levels[0].positive_at_least != usual.positive_at_least
    for before, level in zip((usual, wide), after.conformal.levels, strict=True):
        for bound in ("negative_at_most", "positive_at_least"):
            held = scored.scores >= getattr(before, bound)
            assert np.array_equal(calibrated.scores >= getattr(level, bound), held)


def by_scanner(cases: int, seed: int) -> Answers:
    """The same from two groups: north of two scanners, with every sixth case, and south."""
    scanners = tuple(
        CaseScanner(group="north", name=f"N{index % 4}")
        if index % 6 < 2
        else CaseScanner(group="south", name="S")
        for index in range(cases)
    )
    return replace(made_up(cases, seed), scanners=scanners)


def test_each_scanner_group_with_enough_patients_has_sets_of_its_own() -> None:
    validation, test = by_scanner(120, 1), by_scanner(300, 2)

    trust = calibrate_trust(validation, test)

    assert list(trust.groups) == ["north", "south"]
    north, south = trust.groups.values()
    assert north.scanners == ("N0", "N1", "N2", "N3")
    assert (north.negatives, north.positives) == (20, 20)
    assert north.conformal is not None
    own = validation.of_group("north")
    expected = conformal_thresholds(own.scores, own.labels, 0.9)
    level = north.conformal.levels[0]
    assert (level.negative_at_most, level.positive_at_least) == (
        expected.negative_at_most,
        expected.positive_at_least,
    )
    assert [one.coverage for one in north.conformal.levels] == [0.9, 0.95]
    measured = (level.measured_negative, north.by_all_positive)
    assert [share.cases for share in measured if share is not None] == [50, 50]
    assert south.conformal is not None
    assert south.conformal.negatives == 40
    assert trust.conformal.negatives == 60


def test_a_group_needs_nine_patients_of_each_class_for_a_promise_of_90_percent() -> None:
    assert (fewest_cases(0.9), fewest_cases(0.95)) == (9, 19)
    for cases, has_own in ((18, True), (17, False)):
        made = made_up(cases, 1)
        scanners = (CaseScanner(group="g", name="G"),) * cases
        validation = replace(made, scanners=scanners)
        group = scanner_group(validation, validation, calibrate_trust(made, made).conformal)

        assert (group.conformal is not None) == has_own
        assert group.negatives + group.positives == cases
    one_patient = replace(
        made_up(18, 1), patients=("p0", "p1") * 9, scanners=(CaseScanner(group="g", name="G"),) * 18
    )
    of_all = calibrate_trust(made_up(40, 1), made_up(0, 2)).conformal
    assert scanner_group(one_patient, one_patient, of_all).conformal is None


def test_the_share_kept_by_a_bound_of_few_cases_is_known_to_an_interval() -> None:
    rng = np.random.default_rng(1)
    bounds = np.sort(rng.random((20_000, 30)))[:, rank_of(30, 0.9) - 1]  # of uniform scores

    low, high = likely_kept(30, 0.9)

    assert np.quantile(1 - bounds, [0.025, 0.975]) == pytest.approx([low, high], abs=0.01)
    assert likely_kept(9, 0.9)[0] == pytest.approx(0.025 ** (1 / 9))


def test_bounds_by_scanner_are_written_carried_over_and_go_with_the_sets(folder: Path) -> None:
    first = write_trust(folder, calibrate_trust(by_scanner(120, 1), by_scanner(60, 2)))
    scored, old = made_up(60, 4), first.calibration.temperature
    cases = ScoredCases(patients=scored.patients, labels=scored.labels, scores=scored.scores)
    calibrated = calibrate_scores(scored.labels, scored.scores, old)

    carried = write_calibration(folder, calibrated, cases, point="youden")
    last = write_trust(folder, calibrate_trust(made_up(120, 1), made_up(60, 2)))

    for name, group in carried.scanner_groups.items():
        before = first.scanner_groups[name].conformal
        assert group.conformal is not None
        assert before is not None
        ours, theirs = group.conformal.levels[0], before.levels[0]
        held = scored.scores >= theirs.positive_at_least
        assert np.array_equal(calibrated.scores >= ours.positive_at_least, held)
        assert ours.positive_at_least != theirs.positive_at_least
    assert last.scanner_groups == {}


def case_list(folder: Path, splits: dict[str, int]) -> Path:
    """Prepared cases: two boxes of lung, the positives with a dense half."""
    rng, rows = np.random.default_rng(1), ["path,patient,label,split"]
    for split, count in splits.items():
        for number in range(count):
            label, shape = number % 2, (24, 36, 54)
            hu = rng.normal(-850, 60, shape)
            hu[:, 20:] += 600 * label
            lungs = np.ones(shape, np.bool_)
            name = f"{split}-{number}.npz"
            save(
                folder / name,
                Prepared(
                    hu=hu.astype(np.int16),
                    lungs=lungs,
                    lesions=np.zeros(shape, np.bool_),
                    lesions_known=False,
                    size_mm=(240.0, 200.0, 300.0),
                    label=label,
                ),
            )
            rows.append(f"{name},{split}{number},{label},{split}")
    file = folder / "cases.csv"
    file.write_text("\n".join(rows))
    return file


def test_calibrate_takes_cases_and_enters_what_it_finds(folder: Path, tmp_path: Path) -> None:
    file = case_list(tmp_path, {"train": 2, "validation": 10, "test": 4})
    header, *rows = file.read_text().splitlines()
    named = [f"{row},{'north' if number % 4 < 2 else 'south'}" for number, row in enumerate(rows)]
    file.write_text("\n".join([f"{header},scanner", *named]))

    done = CliRunner().invoke(app, ["calibrate", str(folder), "--cases", str(file), "--by-scanner"])

    assert done.exit_code == 0, done.output
    manifest = read_manifest(folder)[0]
    north, south = manifest.scanner_groups.values()
    assert (north.scanners, north.negatives, north.positives) == (("north",), 2, 2)
    assert (south.scanners, south.negatives, south.positives) == (("south",), 3, 3)
    assert "scanners north (north): 2 negative and 2 positive cases, too few" in done.output
    shown = CliRunner().invoke(app, ["model", "show", str(folder)]).output
    assert "Bounds by scanner" in shown
    assert manifest.conformal is not None
    assert (manifest.conformal.negatives, manifest.conformal.positives) == (5, 5)
    assert manifest.reference is not None
    assert manifest.reference.cases == 10
    assert manifest.reference.flagged is not None
    assert manifest.reference.flagged.cases == 4
    assert "/4)" in done.output


def test_a_group_is_told_with_its_bounds_and_their_evidence() -> None:
    manifest = manifest_with_groups()

    own, few = group_lines(manifest.scanner_groups, manifest.conformal)

    assert own.startswith(
        f"north (MAKER Model 8, {OWN}): indeterminate 0.6000 to 0.8000, by 40 negative and 30"
        " positive cases; kept, negative: between 0.790 and 0.970 of new cases (95 %), of test"
        " cases not measured"
    )
    assert few == (
        f"south ({FEW}): 3 negative and 12 positive cases, too few, 9 patients of each class are"
        " needed; the bounds of all scanners hold"
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": 4}, "rows with split 'validation', got none"),
        ({"validation": 4}, "at least 5 patients expected, got labels ['0', '1'] of 4"),
    ],
)
def test_cases_that_do_not_do_are_refused(
    folder: Path, tmp_path: Path, splits: dict[str, int], message: str
) -> None:
    file, before = case_list(tmp_path, splits), (folder / "manifest.json").read_bytes()
    scores = ["--scores", str(scores_for(folder, tmp_path))]

    done = CliRunner().invoke(app, ["calibrate", str(folder), "--cases", str(file), *scores])

    assert isinstance(done.exception, NodeError)
    assert message in str(done.exception)
    assert (folder / "manifest.json").read_bytes() == before


def scores_for(folder: Path, to: Path) -> Path:
    """Uncalibrated scores that the weights of a model might have given."""
    made = made_up(60, 4)
    rows = zip(made.patients, made.labels.tolist(), made.scores.tolist(), strict=True)
    origin = Origin(weights=read_manifest(folder)[0].networks.digest, temperature=1.0)
    file = to / "scores.csv"
    file.write_text(
        table(((who, int(label), score, to / who) for who, label, score in rows), origin)
    )
    return file


def test_scores_and_cases_in_one_go_are_as_one_after_the_other(
    folder: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    cases = ["--cases", str(case_list(tmp_path, {"validation": 10, "test": 4}))]
    scores = ["--scores", str(scores_for(folder, tmp_path))]

    def calibrate(model: Path, *options: str) -> None:
        done = CliRunner().invoke(app, ["calibrate", str(model), *options])
        assert done.exit_code == 0, done.output

    calibrate(folder, *scores, *cases)
    calibrate(other, *scores)
    calibrate(other, *cases)

    together, apart = read_manifest(folder)[0], read_manifest(other)[0]
    assert together.calibration.temperature != 1
    assert together.operating_points == apart.operating_points
    assert together.conformal is not None
    assert apart.conformal is not None
    for one, two in zip(together.conformal.levels, apart.conformal.levels, strict=True):
        assert one.negative_at_most == pytest.approx(two.negative_at_most)
        assert one.positive_at_least == pytest.approx(two.positive_at_least)
