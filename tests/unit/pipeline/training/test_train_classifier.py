"""From a synthetic data set to a model folder: drawing, training, comparing, writing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage, special

from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.cases.prepared import Prepared, save
from pipeline.cases.prepared import load as load_case
from pipeline.cases.slice_labels import UNKNOWN
from pipeline.cases.volumes import read_volume
from pipeline.classifier.input import network_input
from pipeline.errors import PipelineError
from pipeline.evaluation.score_cases import score_cases
from pipeline.lungs.segment import segment
from pipeline.metrics.scores import Origin, read_origin, read_scores
from pipeline.model.loading import device_for, load
from pipeline.model.manifest import BUNDLED, ClassifierInput
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.synthetic.disease.synthesise import Recipe, synthesise
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.training import classifier_task
from pipeline.training.classifier_task import (
    STEADY_WEIGHT,
    ClassifierTask,
    Files,
    WithAuxHead,
    cells,
    margin_of,
)
from pipeline.training.compare import compare
from pipeline.training.fit import Schedule
from pipeline.training.histograms import BASELINES, fit_baseline, histogram, scores_of
from pipeline.training.listing import Listed
from pipeline.training.model_folder import Trained, build, write_model
from pipeline.training.train_classifier import (
    ClassifierTraining,
    train_classifier,
    write_scores,
)
from tests.unit.pipeline.cases.test_prepared import some_case

SMALL = ClassifierInput(rows=32, columns=48, slice_mm=16, window_hu=(-1200, 600), margin_mm=5.0)
OF_CASES = SMALL.model_copy(update={"rows": 112, "columns": 168, "slice_mm": 4})
QUICK = Schedule(steps=2, validate_every=1)
RECIPE = Recipe(
    seed=3,
    phantoms={Split.TRAIN: 2, Split.VALIDATION: 1, Split.TEST: 1},
    pairs_per_phantom=2,
    pairs_per_real=1,
)


def quiet(step: int, words: str) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case list of a synthetic data set of 16 cases."""
    folder = tmp_path_factory.mktemp("made")
    return synthesise(folder, RECIPE, [], load(BUNDLED, device_for("cpu")), wanted=OF_CASES)


@pytest.mark.slow
def test_a_synthetic_data_set_is_what_it_says(made: Path) -> None:
    rows = read_cases(made)

    assert len(rows) == 16
    assert len({row.patient for row in rows}) == 4
    assert {row.split for row in rows} == set(Split)
    for row in rows:
        case = load_case(row.path)
        assert case.label == row.label
        assert case.lesions_known
        assert case.lesions.any() == bool(row.label)
        assert case.lungs[case.lesions].mean() > 0.9 if row.label else True


@pytest.mark.slow
def test_some_pairs_are_twins_that_differ_by_opacities_alone(tmp_path: Path) -> None:
    one = replace(RECIPE, seed=7, phantoms={Split.TRAIN: 1})  # of its two pairs the second is twins
    made = synthesise(tmp_path, one, [], load(BUNDLED, device_for("cpu")))
    positives = [row.path for row in read_cases(made) if row.label]
    alike = []
    for path in positives:
        ill = load_case(path)
        well = load_case(path.with_name(path.name.replace("positive", "negative")))
        aerated = ill.lungs & well.lungs & ~ill.lesions
        alike.append(float(np.mean(ill.hu[aerated] == well.hu[aerated])))

    assert max(alike) > 0.6, "twins have the same lungs beside the opacities"
    assert min(alike) < 0.3, "others have a background of their own"


@pytest.mark.slow
def test_the_same_recipe_makes_the_same_cases(made: Path, tmp_path: Path) -> None:
    one = replace(RECIPE, phantoms={Split.TRAIN: 1}, pairs_per_phantom=1)
    again = read_cases(
        synthesise(tmp_path, one, [], load(BUNDLED, device_for("cpu")), wanted=OF_CASES)
    )

    assert len(again) == 2
    for case in again:
        first = load_case(made.parent / case.path.name)
        np.testing.assert_array_equal(first.hu, load_case(case.path).hu)


@pytest.mark.slow
def test_classifiers_are_trained_and_compared_on_it(made: Path, tmp_path: Path) -> None:
    training = ClassifierTraining(network="decovnet", seed=1, wanted=SMALL, schedule=QUICK)
    names = ["evidence-net", "decovnet", "histogram-32-rbf-svm"]
    steps: list[str] = []

    def report(name: str, step: int, words: str) -> None:
        steps.append(f"{name} {step} {words}")

    models = load(BUNDLED, device_for("cpu"))
    rows = compare([made], tmp_path, names, training, models, report=report)

    assert [row.name for row in rows] == names
    assert rows[1].parameters == 346_978
    assert rows[0].against_reference is not None
    assert rows[1].against_reference is None
    assert [line.split(":")[0][:14] for line in steps[:2]] == ["evidence-net 1", "evidence-net 2"]
    tables = (tmp_path / "comparison.md").read_text()
    assert "| decovnet | 346,978 | 28.54 |" in tables
    assert "test 2 positive and 2 negative cases of 1 patients" in tables
    scores = read_scores(tmp_path / "evidence-net" / "test-scores.csv")
    assert (scores.positives, scores.negatives, scores.patient_count) == (2, 2, 1)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    paths = [tmp_path / f"{number}.npz" for number in range(4)]
    for number, path in enumerate(paths):
        save(path, some_case(number, label=number % 2))
    return Files(positive=paths[1::2], negative=paths[::2], validation=paths)


def task_of(files: Files, *, masks: bool = True, views: int = 1) -> ClassifierTask:
    torch.manual_seed(1)
    return ClassifierTask(
        network=WithAuxHead(DeCoVNet()),
        files=files,
        wanted=SMALL,
        seed=9,
        pairs=2,
        masks=masks,
        views=views,
    )


def test_each_step_draws_both_labels_and_the_same_each_time(files: Files) -> None:
    task = task_of(files)

    first, again, next_one = (task.draw(step) for step in (4, 4, 5))

    assert first.labels.tolist() == [1, 1, 0, 0]
    assert first.pictures.shape == (4, 2, 16, 32, 48)
    assert torch.equal(first.pictures, again.pictures)
    assert not torch.equal(first.pictures, next_one.pictures)
    assert first.lesions[:2].max() > 0
    assert first.lesions[2:].max() == 0


@pytest.mark.parametrize(("masks", "losses"), [(True, {"score", "place"}), (False, {"score"})])
def test_places_are_learnt_only_where_they_are_known(
    files: Files, masks: bool, losses: set[str]
) -> None:
    task = task_of(files, masks=masks)

    assert set(task.losses(task.draw(0), 0)) == losses


def test_labels_of_slices_teach_the_most_suspicious_cells_of_their_planes(files: Files) -> None:
    task = task_of(files, masks=False)
    batch = task.draw(0)
    assert "slices" not in task.losses(batch, 0)
    infected = torch.full_like(batch.infected, UNKNOWN)
    infected[0, 2], infected[1, 3] = 1, 0
    batch = replace(batch, infected=infected, lungs=torch.ones_like(batch.lungs))
    places = torch.randn(batch.lungs.shape, requires_grad=True)

    loss = classifier_task._slices_loss(places, batch)
    loss.backward()

    assert places.grad is not None
    taught = places.grad.abs().sum(dim=(2, 3)) > 0
    assert torch.argwhere(taught).tolist() == [[0, 2], [1, 3]]
    assert float(places.grad[0, 2].max()) <= 0 <= float(places.grad[1, 3].min())
    assert int((places.grad != 0).sum()) == 2 * classifier_task.SLICE_CELLS
    assert "slices" in task.losses(batch, 0)


def test_labels_of_slices_are_left_out_where_they_are_not_wanted(files: Files) -> None:
    for path in (*files.positive, *files.negative):
        case = load_case(path)
        save(path, replace(case, infected=np.full(len(case.hu), case.label, np.int8)))

    for by_slice in (True, False):
        batch = replace(task_of(files), by_slice=by_slice).draw(0)
        assert bool((batch.infected != UNKNOWN).any()) is by_slice


def test_what_two_views_of_a_case_differ_by_is_a_loss(files: Files) -> None:
    task = task_of(files, views=2)

    batch = task.draw(0)

    assert batch.labels.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    task.network.eval()
    losses = task.losses(batch, 0)
    logits = task.network(batch.pictures)[0]
    margins = (logits[:, 1] - logits[:, 0]).detach().numpy()
    expected = np.mean([(a - b) ** 2 for a, b in zip(margins[::2], margins[1::2], strict=True)])
    assert losses["steady"].item() == pytest.approx(STEADY_WEIGHT * expected / 2, rel=1e-4)


def test_settings_know_the_labels_of_slices(tmp_path: Path) -> None:
    models = load(BUNDLED, device_for("cpu"))
    (tmp_path / "ct").mkdir()
    labels, cases = tmp_path / "labels.csv", tmp_path / "cases.csv"
    labels.write_text("z_mm,infected\n1,1\n")
    cases.write_text("path,patient,label,slices\nct,p,1,labels.csv\n")
    training = ClassifierTraining(network="decovnet", seed=1, wanted=SMALL, schedule=QUICK)

    before = training.as_settings([cases], models)
    labels.write_text("z_mm,infected\n1,0\n")

    assert before["slice_labels"] != training.as_settings([cases], models)["slice_labels"]
    without = replace(training, by_slice=False).as_settings([cases], models)
    assert "slice_labels" not in without


def test_settings_name_views_only_where_there_are_more_than_one() -> None:
    models = load(BUNDLED, device_for("cpu"))
    one = ClassifierTraining(network="decovnet", seed=1, wanted=SMALL, schedule=QUICK)

    assert "views" not in one.as_settings([], models), "runs of earlier versions go on"
    assert replace(one, views=2).as_settings([], models)["views"] == 2


def test_the_cells_of_a_mask_lie_where_the_features_are() -> None:
    mask = np.zeros((8, 32, 48), np.float32)
    mask[2:4, 8:16, 16:24] = 1
    network = EvidenceNet().eval()
    x = torch.zeros(1, 2, 8, 32, 48)
    x[0, 1] = torch.from_numpy(mask)

    share = cells(mask)

    with torch.inference_mode():
        features = network.features(x)
    assert share.shape == features.shape[2:]
    assert np.unravel_index(int(share.argmax()), share.shape)[0] == 1
    assert share.sum() == pytest.approx(mask.sum() / (2 * 8 * 8), rel=0.01)


def test_a_split_without_a_label_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "1.npz", some_case(1, label=1))
    (tmp_path / "cases.csv").write_text("path,patient,label,split\n1.npz,p,1,train\n")
    training = ClassifierTraining(network="decovnet", seed=1, wanted=SMALL, schedule=QUICK)
    models = load(BUNDLED, device_for("cpu"))

    with pytest.raises(PipelineError, match="no negative train cases, no positive validation"):
        train_classifier([tmp_path / "cases.csv"], tmp_path / "run", training, models, report=quiet)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", BASELINES)
def test_histograms_tell_dense_lungs_from_airy_ones(name: str) -> None:
    baseline = BASELINES[name]
    rng = np.random.default_rng(1)
    labels = [number % 2 for number in range(24)]
    dense = [-850 + 120 * label + rng.normal(0, 20) for label in labels]
    cases = [np.full((4, 5, 6), level, np.int16) for level in dense]
    histograms = np.stack(
        [
            histogram(
                Prepared(
                    hu=hu + rng.normal(0, 30, hu.shape).astype(np.int16),
                    lungs=np.ones(hu.shape, np.bool_),
                    lesions=np.zeros(hu.shape, np.bool_),
                    lesions_known=False,
                    size_mm=(1, 1, 1),
                    label=0,
                ),
                baseline.bins,
            )
            for hu in cases
        ]
    )

    fitted = fit_baseline(
        baseline, histograms[:16], labels[:16], [f"p{n // 2}" for n in range(16)], 1
    )
    scores = scores_of(fitted, histograms[16:])

    np.testing.assert_allclose(histograms.sum(axis=1), 1)
    assert all(
        (score > 0.5) == bool(label) for score, label in zip(scores, labels[16:], strict=True)
    )


@pytest.mark.parametrize(
    ("labels", "patients"), [([0, 1, 0, 1], ["p"] * 4), ([0, 1, 0, 0], ["p", "q", "r", "s"])]
)
def test_a_baseline_needs_two_patients_of_each_label(
    labels: list[int], patients: list[str]
) -> None:
    with pytest.raises(PipelineError, match=r"at least 2 patients of each label .* got 1 positive"):
        fit_baseline(BASELINES["histogram-32-rbf-svm"], np.ones((4, 32)), labels, patients, 1)


def test_few_patients_choose_parameters_on_folds_with_both_labels() -> None:
    histograms = np.random.default_rng(1).random((4, 32)) + np.array([[0], [9], [0], [9]])
    patients = [f"patient-{number}" for number in range(4)]

    fitted = fit_baseline(BASELINES["histogram-32-rbf-svm"], histograms, [0, 1, 0, 1], patients, 1)

    assert np.isfinite(fitted.cv_results_["mean_test_score"]).all()


def test_a_model_folder_is_made_of_a_run(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = EvidenceNet().eval()
    save_file(network.state_dict(), tmp_path / "classifier.safetensors")
    trained = Trained(
        network="evidence-net",
        weights=tmp_path / "classifier.safetensors",
        wanted=SMALL,
        trained_on=["12 synthetic cases"],
        reproduce="dicom-node train classifier",
        metrics={"on 12 cases": {"ROC AUC": 0.9}},
    )

    def fill(folder: Path) -> None:
        write_model(folder, BUNDLED, trained, name="mine", version="1")

    assert build(tmp_path / "model", fill)
    models = load(tmp_path / "model", device_for("cpu"))
    x = torch.rand(1, 2, 8, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(models.classifier(x), network(x))
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["calibration"]["temperature"] == 1
    assert "classifier: 12 synthetic cases" in manifest["card"]["trained_on"]
    assert "COVID" not in str([line for line in manifest["card"]["limits"] if "class" in line])
    assert manifest["card"]["metrics"]["on 12 cases"] == {"ROC AUC": 0.9}
    assert any(line.startswith("lungs:") for line in manifest["card"]["trained_on"])


def test_a_model_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "model", interrupted)
    assert not (tmp_path / "model").exists()

    assert build(tmp_path / "model", lambda folder: (folder / "whole").touch())
    assert not build(tmp_path / "model", lambda folder: (folder / "again").touch())
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["whole"]


def listed_npz(folder: Path, rows: list[tuple[int, str]]) -> Path:
    """A case list of prepared cases, each of a patient, with label and split."""
    lines = ["path,patient,label,split"]
    for number, (label, split) in enumerate(rows):
        save(folder / f"{number}.npz", some_case(number, label=label))
        lines.append(f"{number}.npz,p{number},{label},{split}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


BOTH = [(1, "train"), (0, "train"), (1, "validation"), (0, "validation")]


def test_a_run_keeps_the_list_with_its_split_and_marks_its_scores(tmp_path: Path) -> None:
    torch.manual_seed(1)
    cases = listed_npz(tmp_path, [*BOTH, (1, ""), (0, ""), (1, "test")])
    training = ClassifierTraining(network="evidence-net", seed=1, wanted=SMALL, schedule=QUICK)
    models = load(BUNDLED, device_for("cpu"))

    weights = train_classifier([cases], tmp_path / "run", training, models, report=quiet)

    written = read_cases(tmp_path / "run" / "cases.csv")
    assert [case.path for case in written] == [case.path for case in read_cases(cases)]
    assert all(case.split for case in written)
    trained = Trained(
        network="evidence-net", weights=weights, wanted=SMALL, trained_on=["x"], reproduce="y"
    )
    build(
        tmp_path / "model", lambda made: write_model(made, BUNDLED, trained, name="m", version="1")
    )
    of_run = read_origin(tmp_path / "run" / "validation-scores.csv")
    model = load(tmp_path / "model", device_for("cpu"))
    assert of_run == Origin(weights=model.manifest.networks.digest, temperature=1.0)
    again = score_cases(
        [case for case in written if case.split is Split.TEST],
        model,
        tmp_path / "scores.csv",
        lambda _: None,
    )
    in_run = read_scores(tmp_path / "run" / "test-scores.csv").scores.tolist()
    assert list(again.scores.values()) == pytest.approx(in_run, abs=1e-6)


def test_the_list_to_train_on_is_not_written_over(tmp_path: Path) -> None:
    cases = listed_npz(tmp_path, BOTH).rename(tmp_path / "cases.csv")
    training = ClassifierTraining(network="evidence-net", seed=1, wanted=SMALL, schedule=QUICK)

    with pytest.raises(PipelineError, match="a run folder without the list"):
        train_classifier(
            [cases], tmp_path, training, load(BUNDLED, device_for("cpu")), report=quiet
        )


@pytest.mark.slow
def test_scores_of_a_run_are_those_that_the_node_gives(tmp_path: Path) -> None:
    made = make_phantom(PhantomSpec(seed=5, slices=50, size=128, spacing_mm=6.0, lesions=0))
    image = sitk.GetImageFromArray(made.hu)
    image.SetSpacing([float(made.affine[0, 2]), float(made.affine[1, 1]), 6.0])
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))
    shrunk = ndimage.binary_erosion(made.lungs > 0, iterations=4).astype(np.uint8)
    mask = sitk.GetImageFromArray(shrunk)  # as drawn by people: not what the node finds
    mask.CopyInformation(image)
    sitk.WriteImage(mask, str(tmp_path / "mask.nii.gz"))
    cases = listed_npz(tmp_path, BOTH)
    text = cases.read_text().replace("split", "split,lungs").replace("train", "train,")
    text = text.replace("validation", "validation,")
    cases.write_text(text + "ct.nii.gz,q,0,test,mask.nii.gz\n")
    training = ClassifierTraining(network="evidence-net", seed=1, wanted=SMALL, schedule=QUICK)
    models = load(BUNDLED, device_for("cpu"))

    weights = train_classifier([cases], tmp_path / "run", training, models, report=quiet)

    network = EvidenceNet()
    network.load_state_dict(load_file(weights))
    volume = read_volume(tmp_path / "ct.nii.gz")
    seen = network_input(volume, segment(volume, models), SMALL).tensor
    found = read_scores(tmp_path / "run" / "test-scores.csv").scores.tolist()
    assert found == [pytest.approx(float(special.expit(margin_of(network, seen))), abs=1e-6)]


def test_a_case_without_a_score_is_listed_and_the_others_are_kept(tmp_path: Path) -> None:
    rows = [Case(path=tmp_path / str(n), patient=f"p{n}", place=f"row {n}") for n in range(3)]
    listed = [
        Listed(case=row, file=row.path, patient=row.patient, label=1, split=Split.TEST)
        for row in rows
    ]

    def margin(row: Listed) -> float:
        if row.patient == "p1":
            raise PipelineError("no lungs")
        return 0.0

    write_scores(tmp_path, Split.TEST, listed, margin, Origin(weights="w", temperature=1.0))

    assert read_scores(tmp_path / "test-scores.csv").patients == ("p0", "p2")
    assert (tmp_path / "test-unscored.txt").read_text() == "row 1: no lungs\n"


@pytest.mark.parametrize("test", [[], [(1, "test"), (1, "test"), (0, "test")]])
def test_a_comparison_without_enough_test_cases_is_refused_at_once(
    tmp_path: Path, test: list[tuple[int, str]]
) -> None:
    cases = listed_npz(tmp_path, [*BOTH, *test])
    training = ClassifierTraining(network="decovnet", seed=1, wanted=SMALL, schedule=QUICK)

    with pytest.raises(PipelineError, match="2 positive and 2 negative test cases expected"):
        compare(
            [cases],
            tmp_path / "run",
            ["decovnet"],
            training,
            load(BUNDLED, device_for("cpu")),
            report=lambda *_: pytest.fail("nothing is to be trained"),
        )


def chests(folder: Path, patients: list[str], split: Split | None) -> list[Case]:
    """Two real chests, as far as the synthesis knows."""
    made = make_phantom(PhantomSpec(seed=5, slices=30, size=96, spacing_mm=10.0, lesions=0))
    for name, array in {"ct": made.hu, "lungs": made.lungs}.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([float(made.affine[0, 2]), float(made.affine[1, 1]), 10.0])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return [
        Case(
            path=folder / "ct.nii.gz",
            patient=patient,
            lungs=folder / "lungs.nii.gz",
            split=split,
            place=f"real.csv line {line}",
        )
        for line, patient in enumerate(patients, start=2)
    ]


@pytest.mark.slow
def test_chests_of_one_patient_are_kept_apart_and_names_are_no_paths(tmp_path: Path) -> None:
    out, patient = tmp_path / "deep" / "out", "../../ESCAPED"
    recipe = Recipe(seed=3, phantoms={}, pairs_per_phantom=1, pairs_per_real=1)
    real = chests(tmp_path, [patient, patient], Split.TRAIN)

    made = synthesise(out, recipe, real, load(BUNDLED, device_for("cpu")))

    rows = read_cases(made)
    assert len({row.path.resolve() for row in rows}) == 4
    assert all(row.path.resolve().parent == out for row in rows)
    assert {row.patient for row in rows} == {patient}
    assert not list(tmp_path.glob("*ESCAPED*"))
    first, second = (load_case(rows[number].path).hu for number in (0, 2))
    assert not np.array_equal(first, second)


def test_a_chest_without_a_split_is_refused(tmp_path: Path) -> None:
    recipe = Recipe(seed=3, phantoms={}, pairs_per_phantom=1, pairs_per_real=1)

    with pytest.raises(PipelineError, match=r"got none in real\.csv line 2, real\.csv line 3"):
        synthesise(
            tmp_path, recipe, chests(tmp_path, ["p", "q"], None), load(BUNDLED, device_for("cpu"))
        )


def test_a_network_that_the_node_cannot_run_makes_no_model(tmp_path: Path) -> None:
    trained = Trained(
        network="2dclfnet", weights=tmp_path, wanted=SMALL, trained_on=[], reproduce="x"
    )

    with pytest.raises(PipelineError, match="got 2dclfnet"):
        write_model(tmp_path / "model", BUNDLED, trained, name="mine", version="1")
