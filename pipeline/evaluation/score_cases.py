"""Score a list of cases with a model; the scores are saved after each case.

An evaluation may take hours: one that is broken off goes on from the scores that it saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import case_input
from pipeline.classifier.score import classify
from pipeline.errors import PipelineError
from pipeline.metrics.scores import Origin, read_column, read_origin, read_scores, table
from pipeline.model.loading import Models

Report = Callable[[int], None]  #: how many cases are done


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScores:
    """Cases that have a score, and those that have none with the reason."""

    scores: dict[Path, float] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)


def score_cases(cases: Sequence[Case], models: Models, file: Path, report: Report) -> CaseScores:
    """Score every case; a case that fails does not stop the others.

    After each case `file` is written anew, whole. Scores that it already holds are taken over
    for the cases listed; cases that failed are tried again.

    Parameters
    ----------
    cases
        With labels.
    file
        ``scores.csv``, see `pipeline.metrics.scores`.

    Raises
    ------
    PipelineError
        If `file` is not as expected, or holds scores of another model.
    """
    origin = Origin(
        weights=models.manifest.networks.digest,
        temperature=models.manifest.calibration.temperature,
    )
    listed = {case.path.resolve() for case in cases}
    earlier = earlier_scores(file, origin).items()
    done = CaseScores(scores={path: score for path, score in earlier if path in listed})
    for number, case in enumerate(cases):
        report(number)
        path = case.path.resolve()
        if path in done.scores:
            continue
        try:
            network_input = case_input(case, models, models.manifest.networks.classifier.input)
            done.scores[path] = classify(network_input, models).classification.score
        except PipelineError as fault:
            done.failures[path] = str(fault)
            continue
        write_whole(file, _table(cases, done.scores, origin).encode())
    if done.scores:  # also where nothing was scored anew: the list may have changed
        write_whole(file, _table(cases, done.scores, origin).encode())
    report(len(cases))
    return done


def earlier_scores(file: Path, origin: Origin) -> dict[Path, float]:
    """Scores that a broken run left; none without a file.

    Raises
    ------
    PipelineError
        If the file is not as expected, or holds scores of another model.
    """
    if not file.exists():
        return {}
    scores = read_scores(file).scores.tolist()
    if read_origin(file) != origin:
        raise PipelineError(
            f"{file}: expected scores of this model at its temperature, got others; "
            "choose another folder or remove the file"
        )
    return dict(zip(map(Path, read_column(file, "path")), scores, strict=True))


def _table(cases: Sequence[Case], scores: Mapping[Path, float], origin: Origin) -> str:
    """CSV text of the cases that have a score."""
    return table(
        (
            (case.patient, int(case.label or 0), scores[case.path.resolve()], case.path)
            for case in cases
            if case.path.resolve() in scores
        ),
        origin,
    )
