"""Decide which findings are reported.

The threshold decides, and needs no network for it: so a result can be issued again with another
threshold from what is kept of its analysis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.classifier.conformal import open_classes
from pipeline.model.manifest import DEFAULT_POINT, Conformal, Manifest
from pipeline.options import AnalysisOptions
from pipeline.reasons import QualityFlag
from pipeline.types import (
    Analysis,
    Answer,
    Change,
    Classification,
    Doubt,
    Lesion,
    ScannerBounds,
    Side,
    Unreported,
)
from pipeline.wording import figure

OF_THE_SCORE = (QualityFlag.SCORE_UNCERTAIN, QualityFlag.THRESHOLD_AGAINST_SET)


SITE_POINT = "site"  #: name of a threshold that the site has set
SETS_POINT = "prediction sets"  #: name of the thresholds of three answers
GROUP_POINT = "prediction sets of the scanner group"  #: the same of a group's own


def decide(
    undecided: Analysis, options: AnalysisOptions, manifest: Manifest, scanner: str
) -> Analysis:
    """Call the score, and leave out the lesions of a negative series unless they are wanted.

    Parameters
    ----------
    undecided
        With every lesion, as `pipeline.analyse.find` gives it; never one that is decided already.
    options
        The threshold, if the site has set one; and whether lesions of negative series are wanted.
    manifest
        The operating points of the model that made the analysis.
    scanner
        Name of the series' scanner (`pipeline.series.attributes.scanner_of`).
    """
    called = answered(undecided.classification, options, manifest, scanner)
    doubts = (
        *(doubt for doubt in undecided.doubts if doubt.code not in OF_THE_SCORE),
        *score_doubts(called),
    )
    reported = replace(
        undecided,
        classification=called,
        doubts=doubts,
        flags=tuple(dict.fromkeys(doubt.code for doubt in doubts)),
        provenance=replace(undecided.provenance, parameters=options.as_parameters()),
        lobar=undecided.lobar if options.lobes else None,
    )
    if called.positive or options.lesions_when_negative:
        return _with_changes_named(reported, (), options)
    return without_lesions(_with_changes_named(reported, reported.lesions, options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Scores at which answers change; attributes as in `pipeline.types.Classification`.

    Attributes
    ----------
    sets
        Prediction sets that they come from; None of those of a threshold.
    """

    threshold: float
    operating_point: str
    indeterminate_from: float | None = None
    sets: Conformal | None = None
    scanner_bounds: ScannerBounds | None = None

    @property
    def edges(self) -> tuple[float, ...]:
        """Scores between which answers change, the lower one first."""
        if self.indeterminate_from is None:
            return (self.threshold,)
        return self.indeterminate_from, self.threshold

    def answer(self, score: float) -> Answer:
        """Give the answer to a score."""
        return Classification(
            score=score,
            threshold=self.threshold,
            operating_point=self.operating_point,
            indeterminate_from=self.indeterminate_from,
        ).answer


def bounds(threshold: float | None, manifest: Manifest, scanner: str | None = None) -> Bounds:
    """Choose the scores at which answers change.

    A threshold of the site gives two answers. Without one the first level of prediction sets gives
    three: below where the score leaves the negative class alone open, above where the positive
    one alone, and indeterminate between. The sets are those of the scanner's group, if bounds by
    scanner are wanted and the group has some, else the model's. A model without prediction sets
    has its operating point.

    Parameters
    ----------
    threshold
        Of the site; None takes the model's.
    scanner
        Name of the series' scanner; None takes the bounds of all scanners.
    """
    if threshold is not None:
        return Bounds(threshold=threshold, operating_point=SITE_POINT)
    of_all = _of_sets(manifest.conformal, SETS_POINT)
    if of_all is None:
        point = manifest.operating_points[DEFAULT_POINT]
        of_all = Bounds(threshold=point.threshold, operating_point=DEFAULT_POINT)
    if scanner is None:
        return of_all
    found = manifest.group_of(scanner)
    if found is None:
        return replace(of_all, scanner_bounds=ScannerBounds())
    name, group = found
    own = _of_sets(group.conformal, GROUP_POINT)
    return replace(
        own or of_all,
        scanner_bounds=ScannerBounds(
            group=name,
            own=own is not None,
            negatives=group.negatives,
            positives=group.positives,
        ),
    )


def _of_sets(sets: Conformal | None, point: str) -> Bounds | None:
    """Bounds of the first level of prediction sets; None without any."""
    if sets is None:
        return None
    low, high = sets.levels[0].indeterminate
    return Bounds(threshold=high, operating_point=point, indeterminate_from=low, sets=sets)


def answered(
    found: Classification, options: AnalysisOptions, manifest: Manifest, scanner: str = ""
) -> Classification:
    """Set a score against the site's threshold, or else against the model's bounds.

    Where a scanner group's own bounds decide, its prediction sets say which classes are open.
    """
    chosen = bounds(options.threshold, manifest, scanner if options.by_scanner else None)
    open_now = found.prediction_set
    if chosen.scanner_bounds is not None and chosen.scanner_bounds.own:
        open_now = open_classes(found.score, chosen.sets)
    return replace(
        found,
        threshold=chosen.threshold,
        operating_point=chosen.operating_point,
        indeterminate_from=chosen.indeterminate_from,
        prediction_set=open_now,
        scanner_bounds=chosen.scanner_bounds,
    )


def _with_changes_named(
    analysis: Analysis, withheld: tuple[Lesion, ...], options: AnalysisOptions
) -> Analysis:
    """Say that there are changes which are not outlined, where the series would look calm.

    Parameters
    ----------
    withheld
        Lesions that are not reported; none, or all of the analysis.
    """
    found = _unreported(analysis, withheld, options.unreported_ml)
    if found is None or (
        found.share < options.unreported_share and found.largest_ml < options.unreported_ml
    ):
        return analysis
    share = figure(100 * found.share, 100 * options.unreported_share, digits=1)
    doubt = Doubt(
        code=QualityFlag.UNREPORTED_CHANGES,
        text=f"{share} % of the lungs,"
        f" the largest {figure(found.largest_ml, options.unreported_ml, digits=1)} ml;"
        f" named from {100 * options.unreported_share:g} % or {options.unreported_ml:g} ml on",
    )
    return replace(
        analysis,
        unreported=found,
        doubts=(*analysis.doubts, doubt),
        flags=(*analysis.flags, doubt.code),
    )


def _unreported(
    analysis: Analysis, withheld: tuple[Lesion, ...], solid_from_ml: float
) -> Unreported | None:
    """Measure lesions that are withheld, and changes that are none, together.

    Parameters
    ----------
    solid_from_ml
        A solid one of this volume goes before larger ones, for the place where to look.
    """
    found: tuple[Lesion | Change, ...] = (*withheld, *analysis.changes)
    if not found:
        return None
    first = max(
        found, key=lambda one: (one.solid and one.volume_ml >= solid_from_ml, one.volume_ml)
    )
    lungs = analysis.involvement

    def share(of_lesions: float | None, changes: Iterable[Change], lung_ml: float) -> float | None:
        if not lung_ml:
            return None
        changed = sum(change.volume_ml for change in changes) / lung_ml
        return min(1.0, changed + ((of_lesions or 0.0) if withheld else 0.0))

    def on(side: Side) -> Iterator[Change]:
        return (change for change in analysis.changes if change.side is side)

    return Unreported(
        share=share(lungs.total, analysis.changes, lungs.total_ml) or 0.0,
        right=share(lungs.right, on(Side.RIGHT), lungs.right_ml),
        left=share(lungs.left, on(Side.LEFT), lungs.left_ml),
        largest_ml=max(one.volume_ml for one in found),
        solid_ml=max((one.volume_ml for one in found if one.solid), default=0.0),
        voxel=first.voxel if isinstance(first, Change) else _middle(analysis, first),
    )


def _middle(analysis: Analysis, lesion: Lesion) -> tuple[int, int, int]:
    """Slice, row and column where the area of a lesion is largest."""
    slices, rows, columns = (np.zeros(size, np.intp) for size in analysis.lesion_labels.shape)
    for index, plane in enumerate(analysis.lesion_labels):
        marked = plane == lesion.number
        slices[index] = np.count_nonzero(marked)
        if slices[index]:
            rows += np.count_nonzero(marked, axis=1)
            columns += np.count_nonzero(marked, axis=0)
    return int(slices.argmax()), int(rows.argmax()), int(columns.argmax())


def score_doubts(classification: Classification) -> Iterator[Doubt]:
    """Doubt a call for which the score is too uncertain, or that its prediction set contradicts."""
    if classification.prediction_set is None:
        return
    words = classification.prediction_set.words
    if classification.uncertain:
        yield Doubt(code=QualityFlag.SCORE_UNCERTAIN, text=f"the model is {words}")
    if classification.contradicted:
        call = "positive" if classification.positive else "negative"
        text = (
            f"the threshold ({classification.operating_point}) calls {call}, but the score {words}"
        )
        yield Doubt(code=QualityFlag.THRESHOLD_AGAINST_SET, text=text)


def without_lesions(analysis: Analysis) -> Analysis:
    """Return the analysis without any statement on lesions, not even that there are none."""
    return replace(
        analysis,
        lesion_labels=np.zeros_like(analysis.lesion_labels),
        lesions=(),
        involvement=replace(analysis.involvement, right=None, left=None, total=None),
        lobar=None,
    )
