"""Score a list of cases with a model, and keep what is done: an evaluation may take hours."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline import lungs
from pipeline.analyse import plausible
from pipeline.classify import classify
from pipeline.durably import write_whole
from pipeline.errors import PipelineError
from pipeline.evaluation.scores import COLUMNS, OPTIONAL, read_column, read_scores
from pipeline.models import Models
from pipeline.network_input import NetworkInput, network_input
from pipeline.training.augment import plain_picture
from pipeline.training.cases import Case
from pipeline.training.prepared import SUFFIX, load
from pipeline.training.volumes import read_volume

Told = Callable[[int], None]  #: how many cases are done


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScores:
    """Cases that have a score, and those that have none with the reason."""

    scores: dict[Path, float] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)


def score_cases(cases: Sequence[Case], models: Models, file: Path, told: Told) -> CaseScores:
    """Score every case; a case that fails does not stop the others.

    After each case `file` is written anew, whole. Scores that it already holds are taken over
    for the cases listed; cases that failed are tried again.

    Parameters
    ----------
    cases
        With labels.
    file
        ``scores.csv``: patient, label, score, path, model (its SHA-256).

    Raises
    ------
    PipelineError
        If `file` is not as expected, or holds scores of another model.
    """
    listed = {case.path.resolve() for case in cases}
    earlier = earlier_scores(file, models.weights_sha256).items()
    done = CaseScores(scores={path: score for path, score in earlier if path in listed})
    for number, case in enumerate(cases):
        told(number)
        path = case.path.resolve()
        if path in done.scores:
            continue
        try:
            done.scores[path] = classify(see_case(case, models), models).classification.score
        except PipelineError as fault:
            done.failures[path] = str(fault)
            continue
        write_whole(file, table(cases, done.scores, models.weights_sha256).encode())
    if done.scores:  # also where nothing was scored anew: the list may have changed
        write_whole(file, table(cases, done.scores, models.weights_sha256).encode())
    told(len(cases))
    return done


def see_case(case: Case, models: Models) -> NetworkInput:
    """One case as the node would show it to the classifier.

    Raises
    ------
    PipelineError
        If it cannot be read, is no chest CT, or has no lungs.
    """
    wanted = models.manifest.networks.classifier.input
    if case.path.name.endswith(SUFFIX):
        prepared = load(case.path)
        shape = prepared.hu.shape
        return NetworkInput(
            tensor=plain_picture(prepared, wanted).seen[np.newaxis],
            low=(0, 0, 0),
            high=(shape[0] - 1, shape[1] - 1, shape[2] - 1),
            source_shape=(shape[0], shape[1], shape[2]),
        )
    volume = plausible(read_volume(case.path))
    return network_input(volume, lungs.segment(volume, models), wanted)


def earlier_scores(file: Path, model: str) -> dict[Path, float]:
    """Scores that a broken run left; none without a file.

    Raises
    ------
    PipelineError
        If the file is not as expected, or holds scores of another model.
    """
    if not file.exists():
        return {}
    scores = read_scores(file).scores.tolist()
    if any(each != model for each in read_column(file, "model")):
        raise PipelineError(
            f"{file}: expected scores of the model with SHA-256 {model}, got others; "
            "choose another folder or remove the file"
        )
    return dict(zip(map(Path, read_column(file, "path")), scores, strict=True))


def table(cases: Sequence[Case], scores: Mapping[Path, float], model: str) -> str:
    """CSV text of the cases that have a score."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*COLUMNS, *OPTIONAL))
    for case in cases:
        path = case.path.resolve()
        if path in scores:
            writer.writerow((case.patient, case.label, repr(scores[path]), path, model))
    return stream.getvalue()
