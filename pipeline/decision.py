"""Decide which findings are reported.

The threshold decides, and needs no network for it: so a result can be issued again with another
threshold from what is kept of its analysis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.model.manifest import DEFAULT_POINT, Manifest
from pipeline.options import AnalysisOptions
from pipeline.reasons import QualityFlag
from pipeline.types import Analysis, Classification, Doubt, Unreported
from pipeline.wording import figure

OF_THE_SCORE = (QualityFlag.SCORE_UNCERTAIN, QualityFlag.THRESHOLD_AGAINST_SET)


SITE_POINT = "site"  #: name of a threshold that the site has set


def decide(undecided: Analysis, options: AnalysisOptions, manifest: Manifest) -> Analysis:
    """Call the score, and leave out the lesions of a negative series unless they are wanted.

    Parameters
    ----------
    undecided
        With every lesion, as `pipeline.analyse.find` gives it; never one that is decided already.
    options
        The threshold, if the site has set one; and whether lesions of negative series are wanted.
    manifest
        The operating points of the model that made the analysis.
    """
    if options.threshold is None:
        threshold, point = manifest.operating_points[DEFAULT_POINT].threshold, DEFAULT_POINT
    else:
        threshold, point = options.threshold, SITE_POINT
    called = replace(undecided.classification, threshold=threshold, operating_point=point)
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
    )
    if called.positive or options.lesions_when_negative:
        return reported
    return without_lesions(_with_changes_named(reported, options))


def _with_changes_named(analysis: Analysis, options: AnalysisOptions) -> Analysis:
    """Say that there are changes, where a negative score would make a series look calm."""
    share = analysis.involvement.total or 0.0
    largest_ml = max((lesion.volume_mm3 for lesion in analysis.lesions), default=0.0) / 1000
    if not analysis.lesions or (
        share < options.unreported_share and largest_ml < options.unreported_ml
    ):
        return analysis
    slice_, row, column = (
        int(np.argmax(np.count_nonzero(analysis.lesion_labels, axis=others)))
        for others in ((1, 2), (0, 2), (0, 1))
    )
    doubt = Doubt(
        code=QualityFlag.UNREPORTED_CHANGES,
        text=f"{figure(100 * share, 100 * options.unreported_share, digits=1)} % of the lungs,"
        f" the largest {figure(largest_ml, options.unreported_ml, digits=1)} ml;"
        f" named from {100 * options.unreported_share:g} % or {options.unreported_ml:g} ml on",
    )
    return replace(
        analysis,
        unreported=Unreported(share=share, largest_ml=largest_ml, voxel=(slice_, row, column)),
        doubts=(*analysis.doubts, doubt),
        flags=(*analysis.flags, doubt.code),
    )


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
    )
