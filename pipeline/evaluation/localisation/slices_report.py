"""Agreement with readers' slice labels as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.evaluation.localisation.report import NONE, counted, table
from pipeline.evaluation.localisation.slices import Agreement, SliceScore

ABOUT = (
    "The whole pipeline, with lesions whatever the score. A slice counts as marked if any of its "
    "voxels is. Brackets: Wilson's 95 % interval as if slices were independent, which neighbours "
    "are not. No lobes are segmented: of a lobe it is only asked whether its side is marked on the "
    "slices where readers noted it."
)


def slices_section(series: Mapping[str, Sequence[SliceScore]]) -> str:
    """Write a table for each series, by its name; nothing for none."""
    if not series:
        return ""
    tables = (line for name, scores in series.items() for line in _series(name, scores))
    return "\n".join(("## Against readers' labels of slices", "", ABOUT, "", *tables))


def _series(name: str, scores: Sequence[SliceScore]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    lobes = tuple(scores[0].lobes) if scores else ()
    head = ("system", "sensitivity, slices", "specificity, slices", "marked volume on infected")
    sides = ("left: sensitivity / specificity", "right: sensitivity / specificity")
    yield from table((*head, *sides, *lobes), (_row(score, lobes) for score in scores))
    yield ""


def _row(score: SliceScore, lobes: Sequence[str]) -> tuple[str, ...]:
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
    return " / ".join(NONE if each is None else f"{each.value:.3f}" for each in parts)
