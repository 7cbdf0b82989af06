"""Compare the figures of two models on the same series; purely.

Series of one patient are not independent: of each patient one pair counts, that of the first series
in which both found something. What differs most is listed of all series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dicom_node.console.feedback.truth import Labelled
from pipeline.decision import Bounds
from pipeline.metrics import delong, paired
from pipeline.metrics.paired import FEWEST, Agreement, Discordance
from pipeline.metrics.statistics import Proportion, proportion
from pipeline.types import Answer
from storage.results.shadow import ShadowPair
from storage.results.to_tell import reference_of

MOST_LISTED = 20  #: series that differ most
LEAST_OF_CLASS = 2  #: patients of each class without which there is no area under the curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One series as both models see it.

    Attributes
    ----------
    reference
        Of the result (`storage.results.to_tell.reference_of`).
    page
        Its place in the console.
    at
        When the second model had analysed it.
    first, second
        Scores; None where the second model found nothing.
    first_answer, second_answer
        By the thresholds as they are now.
    first_opacities_ml, second_opacities_ml, first_lungs_ml, second_lungs_ml
        Volumes of all opacities, reported or not, and of the lungs.
    is_positive
        The truth; None where it is not known.
    reason
        Why the second model found nothing.
    """

    reference: str
    page: str
    at: datetime
    first: float
    second: float | None
    first_answer: Answer
    second_answer: Answer | None
    first_opacities_ml: float | None
    second_opacities_ml: float | None
    first_lungs_ml: float | None
    second_lungs_ml: float | None
    is_positive: bool | None
    reason: str

    @property
    def is_changed(self) -> bool:
        """Whether both found something, and their answers differ."""
        return self.second_answer not in {None, self.first_answer}


BoundsOfScanner = Callable[[str], Bounds]

Pairs = Mapping[str, tuple[ShadowPair, Pair]]
"""By Series Instance UID, in the order of analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on the same patients.

    Attributes
    ----------
    series
        All that the second model was given.
    failed
        Share of these in which it found nothing; None without any.
    patients
        In whom both found something; one series of each.
    changed
        Share of these whose answer is another; None without any.
    answers
        Number of patients by both answers, the first model's before ``/``.
    score, opacities_ml, lungs_ml
        Differences, second less first; None with fewer than `FEWEST` pairs.
    above
        Patients whom only one of the models calls above.
    positives, negatives, by_diagnosis
        Patients of whom the truth is known, and by how many final diagnoses.
    area
        Areas under the ROC curve, paired, the difference first less second; None without
        `LEAST_OF_CLASS` patients of each class.
    differing
        The series that differ most: other answers first, then by the score.
    """

    series: int
    failed: Proportion | None
    patients: int
    changed: Proportion | None
    answers: Mapping[str, int]
    score: Agreement | None
    opacities_ml: Agreement | None
    lungs_ml: Agreement | None
    above: Discordance
    positives: int
    negatives: int
    by_diagnosis: int
    area: delong.Comparison | None
    differing: tuple[Pair, ...]


def pairs_of(
    found: Iterable[ShadowPair],
    truth: Mapping[str, Labelled],
    *,
    first: BoundsOfScanner,
    second: BoundsOfScanner,
) -> Pairs:
    """Put together what is known of each series.

    Parameters
    ----------
    truth
        By Series Instance UID.
    first, second
        Scores at which the answers of the models change, by the name of the scanner.
    """
    return {one.series_instance_uid: (one, _pair(one, truth, first, second)) for one in found}


def compare(pairs: Pairs, truth: Mapping[str, Labelled]) -> Comparison:
    """Compare two models.

    Parameters
    ----------
    pairs
        Of `pairs_of`.
    truth
        As there.
    """
    both = _one_of_each_patient(pairs.values())
    failures = sum(pair.second is None for _, pair in pairs.values())
    known = [(pair, second) for pair, second in both if pair.is_positive is not None]
    labels = np.array([pair.is_positive for pair, _ in known], np.bool_)
    positives = int(np.count_nonzero(labels))
    negatives = len(known) - positives
    counts = Counter(f"{pair.first_answer}/{pair.second_answer}" for pair, _ in both)
    area = None
    if min(positives, negatives) >= LEAST_OF_CLASS:
        of_first = np.array([pair.first for pair, _ in known])
        of_second = np.array([second for _, second in known])
        area = delong.compare_auc(labels, of_first, of_second)
    return Comparison(
        series=len(pairs),
        failed=proportion(failures, len(pairs)) if pairs else None,
        patients=len(both),
        changed=proportion(sum(pair.is_changed for pair, _ in both), len(both)) if both else None,
        answers=dict(sorted(counts.items())),
        score=_agreement((pair.first, second) for pair, second in both),
        opacities_ml=_agreement(
            (pair.first_opacities_ml, pair.second_opacities_ml) for pair, _ in both
        ),
        lungs_ml=_agreement((pair.first_lungs_ml, pair.second_lungs_ml) for pair, _ in both),
        above=paired.discordance(
            sum(_is_only_above(pair.first_answer, pair.second_answer) for pair, _ in both),
            sum(_is_only_above(pair.second_answer, pair.first_answer) for pair, _ in both),
        ),
        positives=positives,
        negatives=negatives,
        by_diagnosis=_by_diagnosis(pairs, truth, known),
        area=area,
        differing=_differing([pair for _, pair in pairs.values()]),
    )


def _pair(
    one: ShadowPair,
    truth: Mapping[str, Labelled],
    first: BoundsOfScanner,
    second: BoundsOfScanner,
) -> Pair:
    found, label = one.second, truth.get(one.series_instance_uid)
    return Pair(
        reference=reference_of(one.result_key),
        page=f"/series/{one.series_instance_uid}",
        at=one.at,
        first=one.score,
        second=found.score,
        first_answer=first(one.scanner).answer(one.score),
        second_answer=None if found.score is None else second(one.scanner).answer(found.score),
        first_opacities_ml=found.opacities_of_result_ml,
        second_opacities_ml=found.opacities_ml,
        first_lungs_ml=found.lungs_of_result_ml,
        second_lungs_ml=found.lungs_ml,
        is_positive=label.is_positive if label else None,
        reason=found.reason,
    )


def _one_of_each_patient(
    pairs: Iterable[tuple[ShadowPair, Pair]],
) -> list[tuple[Pair, float]]:
    """Take the first series of each patient in which both found something, and its second score.

    One of which the truth is known goes before.
    """
    chosen: dict[str, tuple[Pair, float]] = {}
    for one, pair in pairs:
        if pair.second is None:
            continue
        known = chosen.get(one.patient)
        if known is None or (known[0].is_positive is None and pair.is_positive is not None):
            chosen[one.patient] = pair, pair.second
    return list(chosen.values())


def _is_only_above(one: Answer | None, other: Answer | None) -> bool:
    return one is Answer.ABOVE and other is not Answer.ABOVE


def _agreement(values: Iterable[tuple[float | None, float | None]]) -> Agreement | None:
    known = [(a, b) for a, b in values if a is not None and b is not None]
    if len(known) < FEWEST:
        return None
    first, second = np.array(known, np.float64).T
    return paired.agreement(first, second)


def _by_diagnosis(
    pairs: Pairs,
    truth: Mapping[str, Labelled],
    known: Sequence[tuple[Pair, float]],
) -> int:
    counted = {pair.page for pair, _ in known}
    return sum(truth[uid].by_diagnosis for uid, (_, pair) in pairs.items() if pair.page in counted)


def _differing(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """List the series that differ most; what the second model found nothing in comes first."""

    def how_much(pair: Pair) -> tuple[bool, bool, float]:
        apart = 0.0 if pair.second is None else abs(pair.second - pair.first)
        return pair.second is None, pair.is_changed, apart

    differ = [pair for pair in pairs if pair.second != pair.first]
    return tuple(sorted(differ, key=how_much, reverse=True)[:MOST_LISTED])
