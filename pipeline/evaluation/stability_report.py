"""Write what `pipeline.evaluation.stability` measured: a table, the scores as CSV, and a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.atomic_write import write_whole
from pipeline.errors import PipelineError
from pipeline.evaluation.report_plots import BLUE, GREY, ORANGE
from pipeline.evaluation.stability import AS_IT_CAME, ChangedScore, spreads
from pipeline.types import Answer

COLUMNS = ("case", "change", "score", "answer")
DIGITS = 6  #: decimals of a score in the file


def write_scores(file: Path, scores: Sequence[ChangedScore]) -> None:
    """Write the scores as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (one.case, one.change, f"{one.score:.{DIGITS}f}", one.answer) for one in scores
    )
    write_whole(file, stream.getvalue().encode())


def read_scores(file: Path) -> tuple[ChangedScore, ...]:
    """Read what `write_scores` wrote.

    Raises
    ------
    PipelineError
        If the file holds something else.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            return tuple(
                ChangedScore(
                    case=row["case"],
                    change=row["change"],
                    score=float(row["score"]),
                    answer=Answer(row["answer"]),
                )
                for row in csv.DictReader(stream)
            )
    except (OSError, KeyError, ValueError) as exc:
        raise PipelineError(f"{file.name}: scores of changed cases expected, got: {exc}") from exc


def table(scores: Sequence[ChangedScore]) -> str:
    """Write two tables in Markdown: the spread of each case, and how far each change moves it."""
    return "\n".join((*_spreads(scores), "", *_by_change(scores), ""))


def _spreads(scores: Sequence[ChangedScore]) -> Iterator[str]:
    yield "| case | as it came | standard deviation | lowest | highest | answers |"
    yield "|---|---|---|---|---|---|"
    for one in spreads(scores):
        figures = (one.as_it_came, one.deviation, one.low, one.high)
        cells = (one.case, *(f"{figure:.3f}" for figure in figures), ", ".join(one.answers))
        yield f"| {' | '.join(cells)} |"


def _by_change(scores: Sequence[ChangedScore]) -> Iterator[str]:
    cases = [one.case for one in spreads(scores)]
    found = {(one.case, one.change): one.score for one in scores}
    yield f"| score after the change, less that as it came | {' | '.join(cases)} |"
    yield f"|---|{'---|' * len(cases)}"
    for change in dict.fromkeys(one.change for one in scores if one.change != AS_IT_CAME):
        moved = [
            f"{found[case, change] - found[case, AS_IT_CAME]:+.3f}"
            if (case, change) in found
            else "–"
            for case in cases
        ]
        yield f"| {change} | {' | '.join(moved)} |"


def plot(scores: Sequence[ChangedScore], bounds: Sequence[float]) -> bytes:
    """Draw the scores of each case on one line, the unchanged one filled, as PNG.

    Parameters
    ----------
    bounds
        Scores between which answers change.
    """
    found = spreads(scores)
    figure = Figure(figsize=(7.0, 1.2 + 0.4 * len(found)), layout="constrained")
    axes = figure.subplots()
    for place, spread in enumerate(found):
        moved = [one.score for one in scores if one.case == spread.case]
        axes.plot([spread.low, spread.high], [place, place], color=BLUE, linewidth=1)
        axes.plot(moved, [place] * len(moved), "o", color=BLUE, markerfacecolor="white")
        axes.plot(spread.as_it_came, place, "o", color=ORANGE)
    for bound in bounds:
        axes.axvline(bound, color=GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(found)), [spread.case for spread in found])
    axes.set_xlim(0, 1)
    axes.set_xlabel("score; filled: as it came; dotted: bounds between the answers")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()
