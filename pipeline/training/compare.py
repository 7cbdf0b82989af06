"""Compare classifiers on one data set: each trained and tested alike (the paper's Tables III, IV).

What is compared is what each network learns from the same cases in the same number of steps, at
its own learning rate; a longer training may order them otherwise. Unless the training's ``masks``
is off, networks whose feature map can place lesions also learn from known lesion masks; the
others, and the histograms, from labels only. Labels of single slices are not learnt from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Split, read_cases, split_of
from pipeline.cases.classifier_input import Floats, prepared_input
from pipeline.cases.prepared import load
from pipeline.errors import PipelineError
from pipeline.metrics.delong import auc, compare_auc
from pipeline.metrics.operating_points import YOUDEN, operating_points
from pipeline.metrics.scores import ScoredCases, read_scores, scored_cases
from pipeline.metrics.statistics import Values, patient_bootstrap, proportion, roc_area
from pipeline.model.complexity import macs, parameters
from pipeline.model.loading import Models
from pipeline.training.classifier_task import margin
from pipeline.training.classifiers import CLASSIFIERS, RATES
from pipeline.training.compare_tables import ComparisonRow, as_markdown
from pipeline.training.fit import Report as TrainingReport
from pipeline.training.histograms import BASELINES, fit_baseline, histogram, scores_of
from pipeline.training.listing import Listed, list_prepared
from pipeline.training.run_folder import require_free
from pipeline.training.train_classifier import (
    PREPARED,
    WEIGHTS,
    ClassifierTraining,
    Material,
    train_on,
)

PAPER_SHAPE = (1, 2, 128, 224, 336)  #: input at which the paper counts operations
REFERENCE = "decovnet"  #: every other one is compared with it
FEWEST = 2  #: test cases of each label; DeLong's variance needs them
RESULT, TABLES = "comparison.json", "comparison.md"

Report = Callable[[str, int, str], None]  #: network, steps done, and the losses in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """Scores of a classifier for validation and test cases, and its cost; see `ComparisonRow`."""

    name: str
    parameters: int | None
    giga_macs: float | None
    seconds: float
    validation: ScoredCases
    test: ScoredCases


def compare(
    cases: Sequence[Path],
    out: Path,
    names: Sequence[str],
    training: ClassifierTraining,
    models: Models,
    *,
    report: Report,
) -> tuple[ComparisonRow, ...]:
    """Train and test each classifier; write ``comparison.json`` and ``comparison.md``.

    Parameters
    ----------
    out
        Each network's run folder lies in it, so a comparison that was stopped goes on.
    names
        Keys of `CLASSIFIERS` or of `BASELINES`.
    training
        Settings for all; the network and its learning rate (`RATES`) are replaced.

    Raises
    ------
    PipelineError
        If there are too few cases to train or to test on, before anything is trained.
    """
    require_test_cases(cases, training.seed)
    listed = list_prepared(cases, out / PREPARED, training.wanted, models, seed=training.seed)
    tested = []
    for name in names:
        if name in BASELINES:
            tested.append(_test_baseline(name, listed, training.seed))
        else:
            schedule = replace(training.schedule, peak_rate=RATES[name])
            own = replace(training, network=name, schedule=schedule, by_slice=False)
            _train(own, cases, listed, out / name, models, partial(report, name))
            tested.append(_test_network(name, out / name, listed, own))
    rows = rows_of(tested)
    write_whole(out / RESULT, (json.dumps([asdict(row) for row in rows], indent=2) + "\n").encode())
    write_whole(out / TABLES, as_markdown(rows, listed).encode())
    return rows


def require_test_cases(cases: Sequence[Path], seed: int) -> None:
    """Refuse lists on which no two classifiers can be compared.

    Raises
    ------
    PipelineError
        If there are fewer than `FEWEST` test cases of a label.
    """
    rows = read_cases(*cases)
    splits = split_of(rows, seed)
    labels = [row.label for row in rows if splits[row.patient] is Split.TEST]
    if min(labels.count(1), labels.count(0)) < FEWEST:
        raise PipelineError(
            f"at least {FEWEST} positive and {FEWEST} negative test cases expected to compare on,"
            f" got {labels.count(1)} and {labels.count(0)}"
        )


def rows_of(tested: Sequence[Tested]) -> tuple[ComparisonRow, ...]:
    """Figures of each classifier, beside the reference if it is among them."""
    reference = next(
        (classifier.test.scores for classifier in tested if classifier.name == REFERENCE), None
    )
    return tuple(_row(classifier, reference) for classifier in tested)


def _row(tested: Tested, reference: Values | None) -> ComparisonRow:
    test = tested.test
    points = operating_points(tested.validation.labels, tested.validation.scores)
    threshold = next(point.threshold for point in points if point.name == YOUDEN)
    right = int(np.count_nonzero((test.scores > threshold) == test.labels))
    return ComparisonRow(
        name=tested.name,
        parameters=tested.parameters,
        giga_macs=tested.giga_macs,
        seconds=tested.seconds,
        threshold=threshold,
        accuracy=proportion(right, len(test.labels)),
        auc=auc(test.labels, test.scores),
        auc_by_patient=patient_bootstrap(test, roc_area),
        against_reference=None
        if reference is None or tested.name == REFERENCE
        else compare_auc(test.labels, test.scores, reference),
    )


def _train(
    training: ClassifierTraining,
    cases: Sequence[Path],
    listed: Sequence[Listed],
    run: Path,
    models: Models,
    report: TrainingReport,
) -> None:
    """Train a network in its run folder, unless that holds its weights already."""
    settings = training.as_settings(cases, models)
    require_free(run, settings)
    if not (run / WEIGHTS).exists():
        material = Material(
            listed=listed, settings=settings, input_of=partial(_prepared_input, training)
        )
        train_on(material, run, training, models, report=report)


def _prepared_input(training: ClassifierTraining, row: Listed) -> Floats:
    """Network input of the prepared case, which the histograms are made of as well."""
    return prepared_input(load(row.file), training.wanted).tensor


def _test_network(
    name: str, run: Path, listed: Sequence[Listed], training: ClassifierTraining
) -> Tested:
    network = CLASSIFIERS[name]()
    sample = load(next(row.file for row in listed if row.split is Split.TEST))
    return Tested(
        name=name,
        parameters=parameters(network),
        giga_macs=macs(network, PAPER_SHAPE) / 1e9,
        seconds=_seconds(lambda: margin(network, sample, training.wanted)),
        validation=read_scores(run / f"{Split.VALIDATION}-scores.csv"),
        test=read_scores(run / f"{Split.TEST}-scores.csv"),
    )


def _test_baseline(name: str, listed: Sequence[Listed], seed: int) -> Tested:
    """Fit a histogram classifier, score the cases with it."""
    baseline = BASELINES[name]
    cases = {split: [row for row in listed if row.split is split] for split in Split}
    train = cases[Split.TRAIN]
    fitted = fit_baseline(
        baseline,
        _histograms(train, baseline.bins),
        [row.label for row in train],
        [row.patient for row in train],
        seed,
    )

    def scored(split: Split) -> ScoredCases:
        scores = scores_of(fitted, _histograms(cases[split], baseline.bins))
        return scored_cases(
            (row.patient, bool(row.label), float(score))
            for row, score in zip(cases[split], scores, strict=True)
        )

    sample = load(train[0].file)
    return Tested(
        name=name,
        parameters=None,
        giga_macs=None,
        seconds=_seconds(lambda: scores_of(fitted, histogram(sample, baseline.bins)[np.newaxis])),
        validation=scored(Split.VALIDATION),
        test=scored(Split.TEST),
    )


def _histograms(cases: Sequence[Listed], bins: int) -> Values:
    """Histograms ``(n, bins)`` of prepared cases."""
    return np.stack([histogram(load(row.file), bins) for row in cases])


def _seconds(run: Callable[[], object]) -> float:
    """Time of the second run."""
    run()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
