"""Set the scores of painted cases out by size of the opacities and by what was painted.

Of a prepared case it is known what is in it, so a table can say where a classifier fails.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case
from pipeline.cases.prepared import SUFFIX, load
from pipeline.decision import bounds
from pipeline.errors import PipelineError
from pipeline.metrics.delong import auc
from pipeline.metrics.reliability import reliability
from pipeline.metrics.scores import ScoredCases, scored_cases
from pipeline.metrics.statistics import (
    Estimate,
    Proportion,
    average_precision,
    patient_bootstrap,
    proportion,
    roc_area,
)
from pipeline.model.manifest import DEFAULT_POINT, Manifest

SIZES = (0.0, 0.02, 0.05, 0.1, 1.0)  #: bounds between the sizes, share of the lungs
FEWEST_POSITIVES = 2  #: DeLong's variance needs two of each class
PHANTOM = "phantom-"  #: begins the name of a patient who is a phantom
DIGITS = 6  #: decimals of shares and scores in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedCase:
    """A scored case of which it is known what was painted.

    Attributes
    ----------
    case
        Name of its file.
    kind
        What was painted, as the synthesis names it.
    opaque
        Share of the lungs that is opacity, 0 to 1.
    """

    patient: str
    case: str
    label: int
    kind: str
    opaque: float
    score: float


def painted_cases(cases: Sequence[Case], scores: Mapping[Path, float]) -> tuple[PaintedCase, ...]:
    """Look into the prepared cases that have a score; other cases are left out.

    Raises
    ------
    PipelineError
        If a file holds no prepared case.
    """
    return tuple(
        _painted(case, scores[case.path.resolve()])
        for case in cases
        if case.path.name.endswith(SUFFIX) and case.path.resolve() in scores
    )


def _painted(case: Case, score: float) -> PaintedCase:
    found = load(case.path)
    opaque = float(np.count_nonzero(found.lesions & found.lungs))
    return PaintedCase(
        patient=case.patient,
        case=case.path.name.removesuffix(SUFFIX),
        label=found.label,
        kind=found.kind,
        opaque=round(opaque / max(1, int(np.count_nonzero(found.lungs))), DIGITS),
        score=round(score, DIGITS),
    )


def write_painted(file: Path, cases: Sequence[PaintedCase]) -> None:
    """Write them as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, [field.name for field in fields(PaintedCase)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(map(asdict, cases))
    write_whole(file, stream.getvalue().encode())


def read_painted(file: Path) -> tuple[PaintedCase, ...]:
    """Read what `write_painted` wrote.

    Raises
    ------
    PipelineError
        If the file holds something else.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return tuple(
                PaintedCase(
                    patient=row["patient"],
                    case=row["case"],
                    label=int(row["label"]),
                    kind=row["kind"],
                    opaque=float(row["opaque"]),
                    score=float(row["score"]),
                )
                for row in csv.DictReader(stream)
            )
    except (OSError, KeyError, ValueError) as exc:
        raise PipelineError(f"{file.name}: a table of painted cases expected, got: {exc}") from exc


def tables(cases: Sequence[PaintedCase], manifest: Manifest) -> str:
    """Write the tables in Markdown: all figures, by size of the opacities, by what was painted."""
    parts = [_figures(cases, manifest), _answers(cases, manifest)]
    parts += [_by_size(cases, manifest), _by_kind(cases, manifest)]
    return "\n".join(parts)


def _figures(cases: Sequence[PaintedCase], manifest: Manifest) -> str:
    real = [one for one in cases if not one.patient.startswith(PHANTOM)]
    groups = [cases, *([real] if 0 < len(real) < len(cases) else [])]
    heads = ["all"] + ["in real lungs"] * (len(groups) - 1)
    head = [
        f"{name}: {len(group)} cases, patients: {len({one.patient for one in group})}"
        for name, group in zip(heads, groups, strict=True)
    ]
    threshold = manifest.operating_points[DEFAULT_POINT].threshold
    rows: dict[str, Callable[[ScoredCases], str]] = {
        "ROC AUC (DeLong, cases taken for independent)": lambda one: _estimate(
            auc(one.labels, one.scores)
        ),
        "the same, patients resampled": lambda one: _estimate(patient_bootstrap(one, roc_area)),
        "average precision, patients resampled": lambda one: _estimate(
            patient_bootstrap(one, average_precision)
        ),
        f"sensitivity at {threshold:.3f}": lambda one: _called(one, threshold, label=True),
        f"specificity at {threshold:.3f}": lambda one: _called(one, threshold, label=False),
        "expected calibration error (10 bins)": lambda one: (
            f"{reliability(one.labels, one.scores).expected_calibration_error:.3f}"
        ),
    }
    scored = [_scored(group) for group in groups]
    body = [(name, *(figure(one) for one in scored)) for name, figure in rows.items()]
    return _table(("figure", *head), body)


def _answers(cases: Sequence[PaintedCase], manifest: Manifest) -> str:
    """Count the three answers of each class, and what each level of the sets kept."""
    called = bounds(None, manifest)
    low, high = called.indeterminate_from, called.threshold
    if manifest.conformal is None or low is None:
        return ""
    within = {
        f"above (over {high:.3f})": (np.nextafter(high, 1), 1.0),
        "indeterminate": (low, high),
        f"below (under {low:.3f})": (0.0, np.nextafter(low, 0)),
    }
    rows = [
        (name, *(_counted(cases, label, *span) for label in (1, 0)))
        for name, span in within.items()
    ]
    rows += [
        (
            f"own class kept by the {100 * level.coverage:g} % sets",
            _counted(cases, 1, level.positive_at_least, 1.0),
            _counted(cases, 0, 0.0, level.negative_at_most),
        )
        for level in manifest.conformal.levels
    ]
    return _table(("answer", "positive cases", "negative cases"), rows)


def _by_size(cases: Sequence[PaintedCase], manifest: Manifest) -> str:
    threshold = manifest.operating_points[DEFAULT_POINT].threshold
    negatives = [one for one in cases if not one.label]
    rows = []
    for low, high in pairwise(SIZES):
        within = [one for one in cases if one.label and low <= one.opaque < high]
        area = ""
        if len(within) >= FEWEST_POSITIVES <= len(negatives):
            scored = _scored([*within, *negatives])
            area = _estimate(auc(scored.labels, scored.scores))
        found = sum(one.score > threshold for one in within)
        share = _share(proportion(found, len(within))) if within else ""
        rows.append((_size_name(low, high), str(len(within)), area, share))
    head = ("opaque share of the lungs", "positive cases", "AUC against all negatives")
    return _table((*head, f"sensitivity at {threshold:.3f}"), rows)


def _size_name(low: float, high: float) -> str:
    if not low:
        return f"below {100 * high:g} %"
    return (
        f"{100 * low:g} % and more" if high == SIZES[-1] else f"{100 * low:g} to {100 * high:g} %"
    )


def _by_kind(cases: Sequence[PaintedCase], manifest: Manifest) -> str:
    threshold = manifest.operating_points[DEFAULT_POINT].threshold
    edges = sorted({threshold, *bounds(None, manifest).edges})
    kinds = sorted({one.kind for one in cases if not one.label})
    rows = []
    for kind in kinds:
        of_kind = [one for one in cases if not one.label and one.kind == kind]
        cells = [
            f"{sum(one.score > bound for one in of_kind)} of {len(of_kind)}" for bound in edges
        ]
        rows.append((kind.replace("-", " "), *cells))
    heads = [f"over {bound:.3f}" for bound in edges]
    return _table(("negative case", *heads), rows)


def _counted(cases: Sequence[PaintedCase], label: int, low: float, high: float) -> str:
    """Share of a class whose scores lie from ``low`` to ``high``, both included."""
    of_class = [one for one in cases if one.label == label]
    return _share(proportion(sum(low <= one.score <= high for one in of_class), len(of_class)))


def _scored(cases: Sequence[PaintedCase]) -> ScoredCases:
    return scored_cases((one.patient, bool(one.label), one.score) for one in cases)


def _called(cases: ScoredCases, threshold: float, *, label: bool) -> str:
    """Share of a class that the threshold calls right."""
    scores = cases.scores[cases.labels == label]
    return _share(proportion(int(np.count_nonzero((scores > threshold) == label)), len(scores)))


def _estimate(estimate: Estimate) -> str:
    known = estimate.why_unknown or f"{estimate.low:.3f}–{estimate.high:.3f}"
    return f"{estimate.value:.3f} ({known})"


def _share(share: Proportion) -> str:
    return f"{share.value:.3f} ({share.count} of {share.total}; {share.low:.3f}–{share.high:.3f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows)) + "\n"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
