"""The paper's Tables III and IV on a data set of yours: every classifier, trained and tested alike.

What is compared is what each network learns from the same cases in the same number of steps; a
longer training may order them otherwise.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Split, read_cases, split_of
from pipeline.cases.classifier_input import plain_picture
from pipeline.cases.prepared import Prepared, load
from pipeline.errors import PipelineError
from pipeline.metrics.delong import Comparison, auc, compare_auc
from pipeline.metrics.operating_points import YOUDEN, operating_points
from pipeline.metrics.scores import ScoredCases, read_scores, scored_cases
from pipeline.metrics.statistics import (
    Estimate,
    Proportion,
    patient_bootstrap,
    proportion,
    roc_area,
)
from pipeline.model.complexity import macs, parameters
from pipeline.model.loading import Models
from pipeline.training.classifier_task import margin
from pipeline.training.classifiers import CLASSIFIERS, RATES
from pipeline.training.compare_tables import as_markdown
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

Report = Callable[[str, int, str], None]  #: network, steps done, how it goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One classifier in the tables.

    Attributes
    ----------
    parameters, giga_macs
        Of a network, the latter for 128 x 224 x 336; None for a histogram.
    seconds
        To score one case once its lungs are known, on this machine.
    threshold, accuracy
        Youden's threshold on the validation cases, and the accuracy it has on the test cases.
    auc, auc_by_patient
        On the test cases, with DeLong's interval and with that of resampled patients.
    against_reference
        Paired with `REFERENCE`; None for itself.
    """

    name: str
    parameters: int | None
    giga_macs: float | None
    seconds: float
    threshold: float
    accuracy: Proportion
    auc: Estimate
    auc_by_patient: Estimate
    against_reference: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a classifier said of the cases, and what it costs."""

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
) -> tuple[Row, ...]:
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
        If there is too little to learn from or to judge on, before anything is trained.
    """
    require_test_cases(cases, training.seed)
    listed = list_prepared(cases, out / PREPARED, training.wanted, models, seed=training.seed)
    tried = []
    for name in names:
        if name in BASELINES:
            tried.append(_try_baseline(name, listed, training.seed))
        else:
            schedule = replace(training.schedule, peak_rate=RATES[name])
            wanted = replace(training, network=name, schedule=schedule)
            run = out / name
            settings = wanted.as_settings(cases, models)
            require_free(run, settings)
            if not (run / WEIGHTS).exists():
                material = Material(listed=listed, settings=settings, see=partial(_see, wanted))
                train_on(material, run, wanted, models, report=partial(report, name))
            tried.append(_try_network(name, out / name, listed, wanted))
    rows = rows_of(tried)
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


def rows_of(tried: Sequence[Tried]) -> tuple[Row, ...]:
    """Figures of each classifier, beside the reference if it is among them."""
    reference = next((each.test.scores for each in tried if each.name == REFERENCE), None)
    return tuple(_row(each, reference) for each in tried)


def _row(tried: Tried, reference: np.ndarray[tuple[int], np.dtype[np.float64]] | None) -> Row:
    test = tried.test
    points = operating_points(tried.validation.labels, tried.validation.scores)
    threshold = next(point.threshold for point in points if point.name == YOUDEN)
    right = int(np.count_nonzero((test.scores > threshold) == test.labels))
    return Row(
        name=tried.name,
        parameters=tried.parameters,
        giga_macs=tried.giga_macs,
        seconds=tried.seconds,
        threshold=threshold,
        accuracy=proportion(right, len(test.labels)),
        auc=auc(test.labels, test.scores),
        auc_by_patient=patient_bootstrap(test, roc_area),
        against_reference=None
        if reference is None or tried.name == REFERENCE
        else compare_auc(test.labels, test.scores, reference),
    )


def _see(training: ClassifierTraining, each: Listed) -> np.ndarray[Any, np.dtype[np.float32]]:
    """All classifiers see the same: the prepared case, as the histograms do."""
    return plain_picture(load(each.file), training.wanted).seen[np.newaxis]


def _try_network(
    name: str, run: Path, listed: Sequence[Listed], training: ClassifierTraining
) -> Tried:
    network = CLASSIFIERS[name]()
    sample = load(next(each.file for each in listed if each.split is Split.TEST))
    return Tried(
        name=name,
        parameters=parameters(network),
        giga_macs=macs(network, PAPER_SHAPE) / 1e9,
        seconds=_seconds(lambda: margin(network, sample, training.wanted)),
        validation=read_scores(run / f"{Split.VALIDATION}-scores.csv"),
        test=read_scores(run / f"{Split.TEST}-scores.csv"),
    )


def _try_baseline(name: str, listed: Sequence[Listed], seed: int) -> Tried:
    baseline = BASELINES[name]

    def seen(
        split: Split,
    ) -> tuple[list[Listed], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
        chosen = [each for each in listed if each.split is split]
        return chosen, np.stack([histogram(load(each.file), baseline.bins) for each in chosen])

    chosen, histograms = seen(Split.TRAIN)
    fitted = fit_baseline(
        baseline,
        histograms,
        [each.label for each in chosen],
        [each.patient for each in chosen],
        seed,
    )

    def judged(split: Split) -> ScoredCases:
        chosen, histograms = seen(split)
        return scored_cases(
            (each.patient, bool(each.label), float(score))
            for each, score in zip(chosen, scores_of(fitted, histograms), strict=True)
        )

    def score(case: Prepared) -> None:
        scores_of(fitted, histogram(case, baseline.bins)[np.newaxis])

    sample = load(chosen[0].file)
    return Tried(
        name=name,
        parameters=None,
        giga_macs=None,
        seconds=_seconds(lambda: score(sample)),
        validation=judged(Split.VALIDATION),
        test=judged(Split.TEST),
    )


def _seconds(run: Callable[[], object]) -> float:
    """Time of the second run."""
    run()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
