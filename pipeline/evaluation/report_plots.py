"""Draw the five plots of an evaluation, without matplotlib's global state."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from pipeline.evaluation.summary import Evaluation
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import bounds

# Okabe and Ito's colours, which colour-blind people tell apart (jfly.uni-koeln.de/color)
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
MARKERS = ("o", "s", "D", "^")
SIZE_INCHES = (5.2, 4.4)
DPI = 160
SCORE_BINS = 20
LOWEST_BENEFIT = -0.1  #: treating everybody falls to minus infinity; the plot ends here

Place = Literal["lower left", "lower right", "upper right", "upper center"]
Plot = Callable[[ScoredCases, Evaluation], Figure]


def roc(cases: ScoredCases, evaluation: Evaluation) -> Figure:
    """ROC curve; the thresholds as points with Wilson's intervals."""
    figure, axes = _canvas("1 - specificity (false positive rate)", "sensitivity")
    false, true, _ = roc_curve(cases.labels, cases.scores)
    area = evaluation.auc
    label = f"AUC {area.value:.3f} ({bounds(area)})"
    axes.plot(false, true, color=BLUE, linewidth=2, label=label)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    rows = (evaluation.chosen, *evaluation.points)
    for row, marker in zip(rows, MARKERS, strict=True):
        x, y = row.specificity, row.sensitivity
        axes.errorbar(
            1 - x.value,
            y.value,
            xerr=[[max(0, x.high - x.value)], [max(0, x.value - x.low)]],
            yerr=[[max(0, y.value - y.low)], [max(0, y.high - y.value)]],
            marker=marker,
            color=ORANGE,
            markerfacecolor="white" if row is not evaluation.chosen else ORANGE,
            capsize=2,
            linewidth=1,
            linestyle="none",
            label=f"{row.name} ({row.threshold:.3g})",
        )
    return _finished(figure, axes, "lower right")


def precision_recall(cases: ScoredCases, evaluation: Evaluation) -> Figure:
    """Precision against recall, with the prevalence as the line of chance."""
    figure, axes = _canvas("recall (sensitivity)", "precision (PPV at this prevalence)")
    precision, recall, _ = precision_recall_curve(cases.labels, cases.scores)
    mean = evaluation.average_precision
    label = f"average precision {mean.value:.3f} ({bounds(mean)})"
    axes.step(recall, precision, where="post", color=BLUE, linewidth=2, label=label)
    share = evaluation.prevalence.value
    axes.axhline(share, color=GREY, linestyle=":", label=f"chance (prevalence {share:.3f})")
    return _finished(figure, axes, "lower left")


def reliability_curve(_: ScoredCases, evaluation: Evaluation) -> Figure:
    """Observed share against mean score, bin by bin, with Wilson's intervals."""
    figure, axes = _canvas("mean score of the bin", "share of positive cases")
    bins = evaluation.reliability.bins
    shares = [bin_.observed for bin_ in bins]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect agreement")
    axes.errorbar(
        [bin_.mean_score for bin_ in bins],
        [share.value for share in shares],
        yerr=np.abs([[s.value - s.low for s in shares], [s.high - s.value for s in shares]]),
        color=BLUE,
        marker="o",
        capsize=3,
        label=f"ECE {evaluation.reliability.expected_calibration_error:.3f}, "
        f"Brier {evaluation.reliability.brier:.3f}",
    )
    for bin_ in bins:
        at = (bin_.mean_score, bin_.observed.value)
        axes.annotate(f"n={bin_.observed.total}", at, (5, -10), textcoords="offset points", size=7)
    return _finished(figure, axes, "lower right")


def decision(_: ScoredCases, evaluation: Evaluation) -> Figure:
    """Net benefit of acting on the score, on every case, and on none."""
    figure, axes = _canvas("probability at which one would act", "net benefit per case")
    points = evaluation.decision_curve
    at = [point.probability for point in points]
    by_score = [point.by_score for point in points]
    treat_all = [point.treat_all for point in points]
    axes.plot(at, by_score, color=BLUE, linewidth=2, label="act on the score")
    axes.plot(at, treat_all, color=ORANGE, linestyle="--", label="act on every case")
    axes.axhline(0, color=GREY, linestyle=":", label="act on none")
    axes.set_ylim(LOWEST_BENEFIT, max(*by_score, *treat_all) * 1.15)
    return _finished(figure, axes, "upper right")


def score_histogram(cases: ScoredCases, evaluation: Evaluation) -> Figure:
    """Histogram of the scores of both classes."""
    figure, axes = _canvas("score", "cases")
    edges = [number / SCORE_BINS for number in range(SCORE_BINS + 1)]
    groups = ((~cases.labels, BLUE, "negative", ""), (cases.labels, ORANGE, "positive", "//"))
    for chosen, colour, name, hatch in groups:
        axes.hist(
            cases.scores[chosen],
            edges,
            color=colour,
            alpha=0.55,
            edgecolor=colour,
            hatch=hatch,
            label=f"{name} (n={np.count_nonzero(chosen)})",
        )
    at = evaluation.chosen.threshold
    axes.axvline(at, color="black", linestyle="--", label=f"threshold {at:.3g}")
    axes.set_ylim(auto=True)
    axes.relim()
    axes.autoscale(axis="y")
    return _finished(figure, axes, "upper center")


#: File name without ending, and what draws it.
PLOTS: Mapping[str, Plot] = {
    "roc": roc,
    "precision-recall": precision_recall,
    "reliability": reliability_curve,
    "decision-curve": decision,
    "scores": score_histogram,
}


def as_png(figure: Figure) -> bytes:
    """Draw a figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    """Empty axes from 0 to 1 with their names."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finished(figure: Figure, axes: Axes, place: Place) -> Figure:
    axes.legend(loc=place, fontsize=8, framealpha=0.9)
    return figure
