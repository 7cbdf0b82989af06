"""What `dicom-node evaluate` does with scores, and what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicom_node.analysis.configuration import read_manifest
from dicom_node.errors import NodeError
from pipeline.evaluation.calibration.temperature import rescaled
from pipeline.evaluation.report import Occasion, write_report
from pipeline.evaluation.summary import PREVALENCES, THRESHOLD, Evaluation, evaluate
from pipeline.metrics.scores import ScoredCases, read_origin, read_scores
from pipeline.metrics.statistics import with_interval
from pipeline.model.manifest import DEFAULT, Manifest

FEWEST = 2  #: cases of each class; DeLong's variance needs them


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the caller may choose; None takes what holds otherwise.

    Attributes
    ----------
    threshold
        Scores above it are positive.
    prevalences
        For PPV and NPV.
    """

    threshold: float | None = None
    prevalences: Sequence[float] | None = None


def evaluate_scores(
    file: Path, model: Path | None, out: Path, wishes: Wishes, console: Console
) -> None:
    """Report on scores that are there: as they are, or as a model calibrates and calls them."""
    if model is None:
        source = f"Scores of {file.name}, as they are"
        report_on(read_scores(file), out, wishes, console, source=source)
        return
    manifest, _ = read_manifest(model)
    report_on(
        scores_of(file, manifest),
        out,
        called_by(manifest, wishes),
        console,
        source=f"Scores of {file.name}, calibrated as {manifest.name} {manifest.version}",
    )


def scores_of(file: Path, manifest: Manifest) -> ScoredCases:
    """Read scores of a model's weights, and bring them to its temperature."""
    cases, origin = read_scores(file), read_origin(file)
    if origin.weights != manifest.networks.digest:
        raise NodeError(
            f"{file}: expected scores that the weights of {manifest.name} {manifest.version} gave,"
            " got another's"
        )
    ratio = manifest.calibration.temperature / origin.temperature
    return cases if ratio == 1 else replace(cases, scores=rescaled(cases.scores, ratio))


def called_by(manifest: Manifest, wishes: Wishes) -> Wishes:
    """Wishes at the threshold of a model, if no other was asked for."""
    if wishes.threshold is not None:
        return wishes
    return replace(wishes, threshold=manifest.operating_points[DEFAULT].threshold)


def report_on(
    scores: ScoredCases,
    out: Path,
    wishes: Wishes,
    console: Console,
    *,
    source: str,
    unscored: tuple[tuple[str, str], ...] = (),
) -> None:
    """Judge scores; write and show the report."""
    cases = judgeable(scores)
    threshold = THRESHOLD if wishes.threshold is None else wishes.threshold
    told = evaluate(cases, threshold, wishes.prevalences or PREVALENCES)
    occasion = Occasion(source=source, day=datetime.now(UTC).date(), unscored=unscored)
    _tell(told, write_report(cases, told, occasion, out), console)


def judgeable(cases: ScoredCases) -> ScoredCases:
    """Give the cases back if there are enough of both classes."""
    if min(cases.positives, cases.negatives) < FEWEST:
        raise NodeError(
            f"expected at least {FEWEST} positive and {FEWEST} negative cases, "
            f"got {cases.positives} and {cases.negatives}"
        )
    return cases


def _tell(told: Evaluation, page: Path, console: Console) -> None:
    row = told.chosen
    table = Table("figure", "value (95 % interval)", title=f"{told.cases} cases", box=None)
    table.add_row("ROC AUC (DeLong)", with_interval(told.auc))
    table.add_row("average precision", with_interval(told.average_precision))
    table.add_row(f"sensitivity at {row.threshold:.3g}", with_interval(row.sensitivity))
    table.add_row(f"specificity at {row.threshold:.3g}", with_interval(row.specificity))
    table.add_row("PPV in this set", with_interval(row.ppv))
    table.add_row("NPV in this set", with_interval(row.npv))
    table.add_row("calibration error (ECE)", f"{told.reliability.expected_calibration_error:.3f}")
    console.print(table)
    console.print(f"report: {escape(str(page))}")
