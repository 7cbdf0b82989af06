"""What is reported of all that was found: the threshold decides, and needs no network for it.

So a result can be issued again with another threshold from what is kept of its analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pipeline.types import Analysis, Classification, Doubt, Involvement

UNCERTAIN = "score-uncertain"  #: the model cannot tell
CONTRADICTED = "threshold-against-set"  #: the model can tell, and the threshold says otherwise


def decided(
    found: Analysis,
    *,
    threshold: float,
    operating_point: str,
    lesions_when_negative: bool,
    parameters: Mapping[str, str],
) -> Analysis:
    """Call the score, and leave out the lesions of a negative series unless they are wanted.

    Parameters
    ----------
    found
        With every lesion, as `pipeline.analyse.find` gives it; `decided` gives less back.
    threshold, operating_point
        As in `pipeline.types.Classification`.
    parameters
        What the report says of the settings.
    """
    called = replace(found.classification, threshold=threshold, operating_point=operating_point)
    doubts = (
        *(each for each in found.doubts if each.code not in (UNCERTAIN, CONTRADICTED)),
        *score_doubts(called),
    )
    reported = replace(
        found,
        classification=called,
        doubts=doubts,
        flags=tuple(dict.fromkeys(doubt.code for doubt in doubts)),
        provenance=replace(found.provenance, parameters=parameters),
    )
    return reported if called.positive or lesions_when_negative else without_lesions(reported)


def score_doubts(classification: Classification) -> Iterator[Doubt]:
    """Say so if the score cannot bear its call, or if the call is against what it bears."""
    if classification.prediction_set is None:
        return
    words = classification.prediction_set.words
    if classification.uncertain:
        yield Doubt(code=UNCERTAIN, text=f"the model is {words}")
    if classification.contradicted:
        call = "positive" if classification.positive else "negative"
        text = (
            f"the threshold ({classification.operating_point}) calls {call}, but the score {words}"
        )
        yield Doubt(code=CONTRADICTED, text=text)


def without_lesions(analysis: Analysis) -> Analysis:
    """Analysis that tells nothing of lesions, not even that there are none; the lungs stay."""
    lungs = analysis.involvement
    return replace(
        analysis,
        lesion_labels=np.zeros_like(analysis.lesion_labels),
        lesions=(),
        involvement=Involvement(
            right_ml=lungs.right_ml, left_ml=lungs.left_ml, right=None, left=None, total=None
        ),
    )
