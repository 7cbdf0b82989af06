"""What `dicom-node calibrate` does and shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dicom_node.analysis.configuration import read_manifest
from dicom_node.cli.research.calibration_trust import show, trusted
from dicom_node.cli.research.evaluation import judgeable, scores_of
from pipeline.cases.case_list import Split
from pipeline.evaluation.calibration.temperature import Calibrated, calibrate_scores, rescaled
from pipeline.evaluation.calibration.trust import Answers
from pipeline.evaluation.calibration.write import write_calibration
from pipeline.evaluation.calibration.write_trust import write_trust
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import with_interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What scores say of a model, and the scores."""

    cases: ScoredCases
    found: Calibrated


def calibrate_model(
    model: Path,
    fitted: Fitted | None,
    answers: Mapping[Split, Answers] | None,
    point: str,
    console: Console,
) -> None:
    """Write what was fitted to scores, to answers, or to both; all is fitted before any is written.

    Parameters
    ----------
    answers
        At the temperature that the model has now.
    """
    trust = None
    if answers is not None:
        ratio = fitted.found.temperature / fitted.found.old_temperature if fitted else 1.0
        renewed = {
            split: replace(each, scores=rescaled(each.scores, ratio))
            for split, each in answers.items()
        }
        trust = trusted(renewed)
    if fitted is not None:
        write_calibration(model, fitted.found, fitted.cases, point=point)
        _tell(fitted.found, point, console)
    if trust is not None:
        write_trust(model, trust)
        show(trust, console)


def fit(model: Path, scores: Path) -> Fitted:
    """Fit temperature and operating points to scores of this model's weights.

    At whatever temperature the scores were written, the same ones give the same calibration.
    """
    manifest, _ = read_manifest(model)
    cases = judgeable(scores_of(scores, manifest))
    found = calibrate_scores(cases.labels, cases.scores, manifest.calibration.temperature)
    return Fitted(cases=cases, found=found)


def _tell(calibrated: Calibrated, point: str, console: Console) -> None:
    console.print(
        f"temperature {calibrated.old_temperature:.4g} -> {calibrated.temperature:.4g}, "
        f"Brier score {calibrated.before.brier:.4f} -> {calibrated.after.brier:.4f} (same cases)"
    )
    if calibrated.at_bound:
        console.print(
            "[bold yellow]The temperature is at its bound:[/] a threshold (almost) parts the"
            " classes of these cases, or the score says nothing about them. Do not read the score"
            " as a probability; calibrate on more cases."
        )
    table = Table("point", "threshold", "sensitivity", "specificity", box=None)
    for each in calibrated.points:
        shares = (with_interval(each.sensitivity), with_interval(each.specificity))
        table.add_row(each.name, f"{each.threshold:.4f}", *shares)
    console.print(table)
    console.print(f"default: {point}")
