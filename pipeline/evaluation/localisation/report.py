"""Write the page on localisation in Markdown, beside the paper's Table V, and draw its FROC curves.

The page is `title`, then `comparison` and `slices_section`, as far as there are any.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pipeline.evaluation.localisation.cases_with_lesions import MIN_LESION_MM3
from pipeline.evaluation.localisation.slices import Agreement, SliceScore
from pipeline.evaluation.localisation.summary import FALSE_PER_SCAN, SIZES_ML, Froc, Summary
from pipeline.evaluation.localisation.verdict import LEAST_IOU
from pipeline.metrics.statistics import RESAMPLES, Proportion

#: Hits of 73 in Wang et al. 2020, Table V, by the name that the system has here.
PAPER_HITS: Mapping[str, int] = {
    "CAM": 26,
    "NormGrad": 25,
    "3DCC alone": 48,
    "3DCC + CAM": 50,
    "3DCC + NormGrad": 32,
}
PAPER_CASES = 73
NONE = "–"

SYSTEMS_HEAD = (
    "system",
    "hit rate, all positive",
    "hit rate, called positive",
    "pointing game",
    "Dice, median",
    "Dice, quartiles",
    "the paper's hit rate",
)
SLICES_HEAD = (
    "system",
    "sensitivity, slices",
    "specificity, slices",
    "marked volume on infected",
    "left: sensitivity / specificity",
    "right: sensitivity / specificity",
)  #: the lobes follow
ABOUT_SLICES = (
    "The whole pipeline, with lesions whatever the score. A slice counts as marked if any of its "
    "voxels is. Brackets: Wilson's 95 % interval as if slices were independent, which neighbours "
    "are not. No lobes are segmented: of a lobe it is only asked whether its side is marked on the "
    "slices where readers noted it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Systems of localisation compared on cases whose lesions are known.

    Attributes
    ----------
    cases, patients, positive, called
        How many; ``positive`` have known lesions, ``called`` of them the classifier calls positive.
    unknown
        How many cases were left out because nobody knows where their lesions are.
    """

    cases: int
    patients: int
    positive: int
    called: int
    unknown: int
    systems: tuple[Summary, ...]


def title(command: str, model: str) -> str:
    """Begin the page: what it is, and how it was made."""
    lines = ("# Table V of the paper: where the lesions are", "", f"    {command}", "", model, "")
    return "\n".join(lines)


def comparison(compared: Compared) -> str:
    """Write the comparison as Markdown."""
    return "\n".join(
        [
            "## On cases whose lesions are known",
            "",
            *_about(compared),
            "",
            *table(SYSTEMS_HEAD, (_system(summary) for summary in compared.systems)),
            "",
            *_notes(),
            "",
            "### Lesions found, against false positives per scan (FROC)",
            "",
            "Detected: a mark touches the lesion. In brackets the stricter sense: intersection "
            f"over union of {LEAST_IOU:g} or more.",
            "",
            *table(("system", *(f"{rate:g}" for rate in FALSE_PER_SCAN), "mean"), _frocs(compared)),
            "",
            "### Lesions touched, by size",
            "",
            *table(("system", *SIZES_ML), _sizes(compared)),
            "",
        ]
    )


def _about(compared: Compared) -> Iterator[str]:
    yield (
        f"{compared.cases} cases of {compared.patients} patients, of which "
        f"{compared.positive} have lesions, {compared.called} of these called positive at the "
        "model's operating point."
    )
    if compared.unknown:
        yield f"Left out: {compared.unknown} cases, because nobody knows where their lesions are."


def _system(summary: Summary) -> tuple[str, ...]:
    """Row of a system in the first table."""
    paper = PAPER_HITS.get(summary.system)
    first, third = summary.dice_quartiles
    dice = summary.dice
    return (
        summary.system,
        counted(summary.hit),
        counted(summary.hit_called),
        counted(summary.pointing),
        f"{dice.value:.3f} ({dice.low:.3f}–{dice.high:.3f})",
        f"{first:.3f}–{third:.3f}",
        f"{paper / PAPER_CASES:.3f} ({paper}/{PAPER_CASES})" if paper else NONE,
    )


def _notes() -> Iterator[str]:
    yield from (
        "- *Hit*: the centre of the lesion that the system points to (its voxel nearest to its "
        "centroid) lies in a true lesion; nothing found is a miss. Brackets: Wilson's 95 % "
        "interval, for which cases count as independent.",
        "- *Pointing game*: the voxel of the highest activation lies in a true lesion.",
        "- *Dice*: of all marked voxels and all true ones, case by case; brackets: 95 % interval "
        f"from {RESAMPLES} resamples of patients. The systems that 3DCC chooses for return one "
        "patch, so a case with many lesions limits their Dice and FROC.",
        f"- True lesions are 26-connected components of {MIN_LESION_MM3:g} mm³ or more.",
        "- *CAM* to *Grad-CAM* and *3DCC + ...* are the paper's steps with each activation (top "
        "5 % of the lungs' box, density, height, 26-connected patches); *ours* takes dense patches "
        "that activation and 3DCC support. *3DCC alone* is the paper's sliding window of 7 x 7 "
        "pixels; the blocks of 6 x 6 are those of the authors' code.",
        "- The paper's figures are of 73 scans of another hospital with boxes drawn by "
        "radiologists, so they can be set beside ours but not compared in size. 73 is the one "
        "denominator that gives all five of its percentages, though it counts 63 scans as rightly "
        "called positive at its threshold; 50 against 48 of 73 (3DCC + CAM, 3DCC alone) is no "
        "significant gain.",
    )


def _frocs(compared: Compared) -> Iterator[tuple[str, ...]]:
    """Rows of the second table: sensitivities at each rate, and their mean."""
    for summary in compared.systems:
        senses = zip(_all(summary.touch), _all(summary.iou), strict=True)
        yield summary.system, *(_both(touch, iou) for touch, iou in senses)


def _all(froc: Froc) -> tuple[float, ...]:
    return (*froc.at, froc.mean)


def _both(touch: float, iou: float) -> str:
    return f"{touch:.2f} ({iou:.2f})"


def _sizes(compared: Compared) -> Iterator[tuple[str, ...]]:
    """Rows of the third table: share of the lesions of each size."""
    for summary in compared.systems:
        yield summary.system, *(counted(summary.recall.get(size)) for size in SIZES_ML)


def slices_section(series: Mapping[str, Sequence[SliceScore]]) -> str:
    """Write a table for each series, by its name; nothing for none."""
    if not series:
        return ""
    tables = (line for name, scores in series.items() for line in _series(name, scores))
    return "\n".join(("## Against readers' labels of slices", "", ABOUT_SLICES, "", *tables))


def _series(name: str, scores: Sequence[SliceScore]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    lobes = tuple(scores[0].lobes) if scores else ()
    yield from table((*SLICES_HEAD, *lobes), (_slices(score, lobes) for score in scores))
    yield ""


def _slices(score: SliceScore, lobes: Sequence[str]) -> tuple[str, ...]:
    """Row of a system on one series."""
    return (
        score.system,
        counted(score.slices.sensitivity),
        counted(score.slices.specificity),
        NONE if score.inside is None else f"{score.inside:.3f}",
        *(_pair(score.sides[side]) for side in ("left", "right")),
        *(f"{score.lobes[lobe].count}/{score.lobes[lobe].total}" for lobe in lobes),
    )


def _pair(agreement: Agreement) -> str:
    parts = (agreement.sensitivity, agreement.specificity)
    return " / ".join(NONE if share is None else f"{share.value:.3f}" for share in parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table in Markdown, line by line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def counted(share: Proportion | None) -> str:
    """Write a share with its interval and its counts."""
    if share is None:
        return NONE
    bounds = f"{share.low:.3f}–{share.high:.3f}"
    return f"{share.value:.3f} ({bounds}; {share.count}/{share.total})"


def draw_froc(systems: Sequence[Summary]) -> bytes:
    """Draw sensitivity against false positives per scan; a panel for each sense of *detected*."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, sense in zip(panels, ("touch", "iou"), strict=True):
        for number, system in enumerate(systems):
            curve = getattr(system, sense)
            axes.step(
                (*curve.false_per_scan, FALSE_PER_SCAN[-1]),
                (*curve.sensitivity, max(curve.sensitivity, default=0.0)),
                where="post",
                color=f"C{number % 10}",
                linestyle=("-", "--", ":")[number // 10 % 3],
                label=system.system,
            )
        axes.set_xscale("log", base=2)
        axes.set(
            xlim=(FALSE_PER_SCAN[0], FALSE_PER_SCAN[-1]),
            ylim=(0, 1),
            xlabel="false positives per scan",
            title={"touch": "touched", "iou": f"intersection over union of {LEAST_IOU:g}"}[sense],
        )
        axes.set_xticks(FALSE_PER_SCAN, [f"{rate:g}" for rate in FALSE_PER_SCAN])
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("true lesions found")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
