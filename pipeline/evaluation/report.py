"""Write the report of an evaluation: ``metrics.json``, plots, and one HTML page for a meeting."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.atomic_write import write_whole
from pipeline.evaluation.report_plots import PLOTS, as_png
from pipeline.evaluation.summary import Evaluation
from pipeline.metrics.groups import GroupFigures, as_csv
from pipeline.metrics.operating_points import RULES
from pipeline.metrics.reliability import BINS
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import RESAMPLES, bounds, with_interval

DISTRIBUTION = "dicom-node"
TEMPLATE = "report.html.jinja"
BY_SCANNER = "by-scanner.csv"  #: in the folder of the report
DEFINITIONS: Mapping[str, str] = {
    "positive": "the score lies strictly above the threshold",
    "sensitivity": "TP / (TP + FN): share of the positive cases that are called positive",
    "specificity": "TN / (TN + FP): share of the negative cases that are called negative",
    "PPV": "TP / (TP + FP): share of the positive calls that are right; depends on the prevalence",
    "NPV": "TN / (TN + FN): share of the negative calls that are right; depends on the prevalence",
    "accuracy": "(TP + TN) / all: share of the cases that are called right",
    "ROC AUC": "probability that a positive case scores above a negative one; ties count one half",
    "average precision": "mean PPV over the positive cases, ranked by score",
    "Brier score": "mean squared distance of score and truth; 0 is best",
    "ECE": f"expected calibration error: mean distance of score and observed share, {BINS} bins",
    "slope, intercept": "of the truth's log-odds on the score's; 1 and 0 are best, "
    "a slope below 1 means scores too extreme",
    "net benefit": "share of true positives less that of false ones, weighed by the odds of the "
    "probability at which one would act",
    "intervals": "95 %: Wilson's for shares, DeLong's for the AUC, and the percentiles of "
    f"{RESAMPLES} resamples of patients where it says so",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Source and date of an evaluation.

    Attributes
    ----------
    source
        Where the scores come from, in words: a file, a model and its version.
    day
        Of the evaluation.
    unscored
        Cases without a score, each as its name and the reason.
    by_scanner
        Figures of each group of scanners; empty where nobody says the scanner of any case.
    """

    source: str
    day: date
    unscored: tuple[tuple[str, str], ...] = ()
    by_scanner: tuple[GroupFigures, ...] = ()


def write_report(cases: ScoredCases, evaluation: Evaluation, occasion: Occasion, out: Path) -> Path:
    """Write everything below `out`; return the page."""
    out.mkdir(parents=True, exist_ok=True)
    plots = {name: as_png(plot(cases, evaluation)) for name, plot in PLOTS.items()}
    for name, png in plots.items():
        write_whole(out / f"{name}.png", png)
    if occasion.by_scanner:
        write_whole(out / BY_SCANNER, as_csv(occasion.by_scanner).encode())
    write_whole(out / "metrics.json", metrics(evaluation, occasion).encode())
    write_whole(out / "report.html", page(evaluation, occasion, plots).encode())
    return out / "report.html"


def metrics(evaluation: Evaluation, occasion: Occasion) -> str:
    """Every figure as JSON, with the definitions of their names."""
    content = {
        "research_use_only": True,
        "source": occasion.source,
        "day": occasion.day.isoformat(),
        "unscored": [{"case": case, "reason": reason} for case, reason in occasion.unscored],
        "by_scanner": [asdict(group) for group in occasion.by_scanner],
        **asdict(evaluation),
        "definitions": DEFINITIONS,
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def page(evaluation: Evaluation, occasion: Occasion, plots: Mapping[str, bytes]) -> str:
    """One HTML page that needs no other file."""
    environment = Environment(
        loader=PackageLoader("pipeline.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ci"] = with_interval
    environment.filters["bounds"] = bounds
    return environment.get_template(TEMPLATE).render(
        e=evaluation,
        fixed=(evaluation.chosen, *evaluation.grid),
        occasion=occasion,
        plots={name: base64.b64encode(png).decode() for name, png in plots.items()},
        rules=RULES,
        definitions=DEFINITIONS,
        software=f"{DISTRIBUTION} {version(DISTRIBUTION)}",
    )
