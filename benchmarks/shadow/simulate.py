"""Simulate streams of patients that two models score, and count how often the gate opens.

``python -m benchmarks.shadow.simulate docs/images/shadow.svg > docs/tables/shadow.md``. Comparison
and gate are the product's own; scores are drawn from normal distributions that are written down
here, one series a patient, independent of one another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from config.settings import Settings
from dicom_node.console.feedback.truth import Labelled
from dicom_node.shadow.comparison import Comparison, Pairs, compare, pairs_of
from dicom_node.shadow.gate import conditions
from dicom_node.shadow.overview import gate_rule_of
from pipeline.decision import Bounds
from storage.results.shadow import NewShadow, ShadowPair

SEED = 20261130
STREAMS = 200  #: of each kind
PATIENTS = (100, 200, 300, 500, 800, 1200)
SHOWN = 500  #: patients of the stream that is drawn
PREVALENCE = 0.3
KNOWN = 0.5  #: share of patients whose final diagnosis is imported
FIRST_AUC = 0.90
THREE = Bounds(threshold=0.491, operating_point="simulated", indeterminate_from=0.206)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
RULE = gate_rule_of(Settings())  #: the defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A second model.

    Attributes
    ----------
    auc
        Its true area under the ROC curve.
    correlation
        Of its scores with those of the first model, among patients of one class.
    shift
        By which its scores lie higher, in standard deviations; the area stays the same.
    """

    auc: float = FIRST_AUC
    correlation: float = 0.95
    shift: float = 0.0


KINDS: Mapping[str, Second] = {
    "nearly the same": Second(correlation=0.995),
    "better by 0.03": Second(auc=0.93),
    "as good, other scores": Second(correlation=0.9),
    "as good, scores shifted": Second(correlation=0.995, shift=0.5),
    "worse by 0.05": Second(auc=0.85, correlation=0.98),
    "worse by 0.10": Second(auc=0.80, correlation=0.98),
}


def separation(auc: float) -> float:
    """Give the distance of two normal distributions of width 1 with an area."""
    return float(np.sqrt(2) * stats.norm.ppf(auc))


def stream(second: Second, count: int, rng: np.random.Generator) -> Comparison:
    """Draw patients and compare the models on them."""
    return compare(*drawn(second, count, rng))


def drawn(
    second: Second, count: int, rng: np.random.Generator
) -> tuple[Pairs, Mapping[str, Labelled]]:
    """Draw patients, with both scores, and the truth of some."""
    sick = rng.random(count) < PREVALENCE
    known = rng.random(count) < KNOWN
    noise = rng.multivariate_normal(
        [0, 0], [[1, second.correlation], [second.correlation, 1]], count
    )
    first_scores = _scores(noise[:, 0], sick, FIRST_AUC, 0.0)
    second_scores = _scores(noise[:, 1], sick, second.auc, second.shift)
    found = [
        ShadowPair(
            series_instance_uid=f"2.25.{number}",
            patient=str(number),
            result_key=f"{number:064d}",
            at=MOMENT,
            score=float(first),
            scanner="",
            second=NewShadow(model="second", manifest_sha256="", score=float(other)),
        )
        for number, (first, other) in enumerate(zip(first_scores, second_scores, strict=True))
    ]
    truth = {
        f"2.25.{number}": Labelled(score=0.0, is_positive=bool(sick[number]), by_diagnosis=True)
        for number in np.flatnonzero(known)
    }
    return pairs_of(found, truth, first=lambda _: THREE, second=lambda _: THREE), truth


def _scores(noise: np.ndarray, sick: np.ndarray, auc: float, shift: float) -> np.ndarray:
    """Turn noise into scores from 0 to 1, healthy patients around 0.25."""
    return stats.norm.cdf(noise - 0.7 + shift + separation(auc) * sick)


def shares_passed(second: Second, rng: np.random.Generator) -> list[float]:
    """Give the share of streams that pass the gate, by their number of patients."""
    return [
        float(
            np.mean(
                [
                    all(one.is_met for one in conditions(stream(second, count, rng), RULE))
                    for _ in range(STREAMS)
                ]
            )
        )
        for count in PATIENTS
    ]


def draw(passed: Mapping[str, list[float]], rng: np.random.Generator, file: Path) -> None:
    """Draw the shares that pass, and one stream as Bland and Altman do."""
    mpl.rcParams["svg.hashsalt"] = "shadow"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, shares in passed.items():
        left.plot(PATIENTS, [100 * share for share in shares], marker="o", label=name)
    left.set(xlabel="patients", ylabel="streams that pass the gate, %", ylim=(-3, 103))
    left.legend(fontsize=8)
    pairs, truth = drawn(KINDS["as good, other scores"], SHOWN, rng)
    both = np.array([(pair.first, pair.second) for _, pair in pairs.values()])
    right.scatter(both.mean(axis=1), both[:, 1] - both[:, 0], s=6)
    score = compare(pairs, truth).score
    if score is not None:
        for line, style in ((score.bias, "-"), (score.lower, "--"), (score.upper, "--")):
            right.axhline(line.value, color="black", linestyle=style, linewidth=1)
            right.axhspan(line.low, line.high, alpha=0.15, color="grey")
    right.set(
        xlabel="mean of both scores",
        ylabel="second less first",
        title=f"one stream of {SHOWN} patients: as good, other scores",
    )
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Write the table and the figure."""
    rng = np.random.default_rng(SEED)
    passed = {name: shares_passed(second, rng) for name, second in KINDS.items()}
    draw(passed, rng, Path(sys.argv[1]))
    changed = {name: stream(second, 20_000, rng).changed for name, second in KINDS.items()}
    lines = [
        "# A second model: how often the gate opens",
        "",
        "Made by `python -m benchmarks.shadow.simulate docs/images/shadow.svg`: simulated patients"
        " and simulated scores, not real ones. They show what the rule does, not what a model does."
        f" One series a patient; {100 * PREVALENCE:.0f} % have the disease; of"
        f" {100 * KNOWN:.0f} % the final diagnosis is known. The first model has a true area under"
        f" the ROC curve of {FIRST_AUC:.2f}, and both have three answers, below"
        f" {THREE.indeterminate_from:g}, above {THREE.threshold:g} and between. The rule is that of"
        " the default settings. A stream is looked at once.",
        "",
        f"Share of {STREAMS} streams of each kind that pass the gate, by the number of patients:",
        "",
        f"| second model | other answers | {' | '.join(map(str, PATIENTS))} |",
        f"|---|---|{'---|' * len(PATIENTS)}",
    ]
    for name, shares in passed.items():
        share = changed[name]
        other = "" if share is None else f"{100 * share.value:.0f} %"
        lines.append(f"| {name} | {other} | {' | '.join(f'{100 * one:.0f} %' for one in shares)} |")
    lines += [
        "",
        "![Left: streams that pass the gate by the number of patients. Right: one stream,"
        " differences of scores against their means, with limits of agreement]"
        "(../images/shadow.svg)",
        "",
        "A model that is better gives other answers as well, so that it takes more patients until"
        " the share of other answers is known to be small enough; one whose scores are shifted has"
        " to be calibrated before. A model that is worse by just the margin that is allowed passes"
        " now and then by chance, as any rule of this kind lets it, and more often where one looks"
        " again and again; that cases of one hospital differ from these drawings, no simulation"
        " shows.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
