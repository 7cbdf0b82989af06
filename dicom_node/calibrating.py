"""What `dicom-node calibrate` does and shows."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dicom_node.equipment import read_manifest
from dicom_node.errors import NodeError
from dicom_node.evaluating import judgeable
from pipeline.evaluation.recalibration import Calibrated, calibrate_scores
from pipeline.evaluation.report import with_interval
from pipeline.evaluation.scores import read_column, read_scores
from pipeline.evaluation.write_calibration import METRICS, write_calibration


def calibrate_model(model: Path, file: Path, point: str, console: Console) -> None:
    """Fit temperature and operating points; write them into the model's manifest."""
    manifest, sha256 = read_manifest(model)
    cases = judgeable(read_scores(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    makers = {maker for maker in read_column(file, "model") if maker}
    if makers - {sha256}:
        raise NodeError(f"{file}: expected scores that this model gave as it is, got another's")
    if digest in str(manifest.card.metrics.get(METRICS)):
        raise NodeError(
            f"{file}: the model was calibrated on these scores already; score the cases again"
        )
    calibrated = calibrate_scores(cases.labels, cases.scores, manifest.calibration.temperature)
    write_calibration(model, calibrated, cases, point=point, scores_sha256=digest)
    _tell_calibration(calibrated, point, console)


def _tell_calibration(calibrated: Calibrated, point: str, console: Console) -> None:
    console.print(
        f"temperature {calibrated.old_temperature:.4g} -> {calibrated.temperature:.4g}, "
        f"Brier score {calibrated.before.brier:.4f} -> {calibrated.after.brier:.4f} (same cases)"
    )
    table = Table("point", "threshold", "sensitivity", "specificity", box=None)
    for each in calibrated.points:
        shares = (with_interval(each.sensitivity), with_interval(each.specificity))
        table.add_row(each.name, f"{each.threshold:.4f}", *shares)
    console.print(table)
    console.print(f"default: {point}")
