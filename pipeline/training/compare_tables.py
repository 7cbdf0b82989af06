"""Lay out a comparison as Markdown: Tables III and IV, the paper's figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.cases.case_list import Split
from pipeline.metrics.delong import Comparison
from pipeline.metrics.statistics import Estimate, Proportion, bounds, with_interval
from pipeline.training.listing import Listed

#: Published AUC (Table III) and accuracy (Table IV) by our name. Wang et al. 2020.
PAPER_AUC: Mapping[str, str] = {
    "decovnet": "0.959",
    "decovnet-no-dropout": "0.924",
    "decovnet-fcclf": "0.893",
    "2dclfnet": "0.900",
}
PAPER_SIZE: Mapping[str, str] = {
    "decovnet": "0.347 M, 28.87 G",
    "decovnet-no-dropout": "0.347 M, 28.87 G",
    "decovnet-fcclf": "43.1 M, 25.81 G",
    "2dclfnet": "0.600 M, 378.6 G",
}
PAPER_ACCURACY: Mapping[str, str] = {
    "decovnet": "90.1 %, 1.93 s with UNet",
    "decovnet-no-mask": "81.7 %, 0.13 s",
    "histogram-32-rbf-svm": "72.5 %, 1.96 s",
    "histogram-64-linear-svm": "75.6 %, 1.96 s",
    "histogram-32-random-forest": "78.6 %, 1.96 s",
}
NONE = "–"
NOTES = """AUC: DeLong's 95 % interval, and that of 1,000 resampled patients (several cases of
one patient are not independent). The difference from DeCoVNet is paired (DeLong), for which cases
count as independent, so its interval is too narrow here. Accuracy: at
Youden's threshold of the validation cases, Wilson's interval. Multiply-accumulates of one scan of
128 x 224 x 336; the paper's G adds two operations per normalised element. Seconds: to score one
case whose lungs are known, on the machine and at the input size of this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
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
        Paired with `pipeline.training.compare.REFERENCE`; None for itself.
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


def as_markdown(rows: Sequence[ComparisonRow], listed: Sequence[Listed]) -> str:
    """Write both tables, and what they were made on."""
    made_on = "; ".join(_counts(split, listed) for split in Split)
    return "\n\n".join([f"Data: {made_on}.", _table_3(rows), _table_4(rows), NOTES]) + "\n"


def _counts(split: Split, listed: Sequence[Listed]) -> str:
    """Cases and patients of a split, in words."""
    cases = [row for row in listed if row.split is split]
    positive = sum(row.label for row in cases)
    return (
        f"{split} {positive} positive and {len(cases) - positive} negative cases of"
        f" {len({row.patient for row in cases})} patients"
    )


def _table_3(rows: Sequence[ComparisonRow]) -> str:
    head = (
        "network",
        "parameters",
        "GMAC",
        "AUC (95 % CI)",
        "by patient",
        "against DeCoVNet",
        "paper: size",
        "paper: AUC",
    )
    return _table(
        "Table III: networks",
        head,
        [
            (
                row.name,
                f"{row.parameters:,}",
                f"{row.giga_macs:.2f}",
                with_interval(row.auc),
                bounds(row.auc_by_patient),
                _against(row),
                PAPER_SIZE.get(row.name, NONE),
                PAPER_AUC.get(row.name, NONE),
            )
            for row in rows
            if row.parameters is not None
        ],
    )


def _table_4(rows: Sequence[ComparisonRow]) -> str:
    head = ("classifier", "accuracy (95 % CI)", "AUC", "seconds", "paper: accuracy, time")
    return _table(
        "Table IV: accuracy and time",
        head,
        [
            (
                row.name,
                f"{row.accuracy.value:.3f} ({row.accuracy.low:.3f}–{row.accuracy.high:.3f}),"
                f" {row.accuracy.count}/{row.accuracy.total}",
                f"{row.auc.value:.3f}",
                f"{row.seconds:.2f}" if row.seconds >= 0.01 else "< 0.01",
                PAPER_ACCURACY.get(row.name, NONE),
            )
            for row in rows
        ],
    )


def _against(row: ComparisonRow) -> str:
    if row.against_reference is None:
        return NONE
    difference = row.against_reference.difference
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
