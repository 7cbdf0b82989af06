"""Truth about scored series: final diagnoses, and else what most readers say.

Readers are those who answer at the console, and those who have signed a report.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dicom_node.console.feedback.opacities import SCHEME
from dicom_node.governance.result_records import is_diagnosis
from pipeline.feedback.diagnosis import Diagnosis
from storage.results.answers import REPORT, AnswerLine, AssessedResult

AGREE, DISAGREE, UNSURE = "agree", "disagree", "unsure"  #: reasons of answers to a whole result
POSITIVE, NEGATIVE = "positive", "negative"  #: reasons where the result is indeterminate


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A scored series of which it is known whether it is positive.

    Attributes
    ----------
    called_positive
        What its result says; None where it is indeterminate.
    patient
        Digest, or the series where the patient is not known.
    by_diagnosis
        Whether a final diagnosis says so.
    """

    score: float
    is_positive: bool
    called_positive: bool | None = None
    patient: str = ""
    scanner: str = ""
    kernel: str = ""
    by_diagnosis: bool = False
    series_instance_uid: str = ""


def labelled(
    answers: Sequence[AnswerLine], results: Mapping[str, AssessedResult], *, model: str
) -> list[Labelled]:
    """Give the truth of the series that a model has scored, each once.

    A final diagnosis outweighs all readers. The signed reports of a study are one reader, who
    says nothing where they contradict each other. Where readers are divided, nothing is known; of
    several results of a series the latest that is known counts. An indeterminate result says
    nothing to agree with: of it, readers say themselves what they read.
    """
    standing = [
        (one, result)
        for one in answers
        if one.stands
        and (result := results.get(one.result_key)) is not None
        and result.score is not None
        and result.model == model
    ]
    votes = _votes(standing)
    diagnosed = {
        result.key: one.reason_code == Diagnosis.POSITIVE
        for one, result in standing
        if is_diagnosis(one) and one.reason_code != Diagnosis.UNCLEAR
    }
    decided = {
        key: said[True] > said[False] for key, said in votes.items() if said[True] != said[False]
    } | diagnosed
    latest: dict[str, tuple[int, Labelled]] = {}
    for key, is_positive in decided.items():
        result = results[key]
        case = _labelled(result, is_positive=is_positive, by_diagnosis=key in diagnosed)
        before = latest.get(result.series_instance_uid)
        if case is not None and (before is None or before[0] < result.revision):
            latest[result.series_instance_uid] = (result.revision, case)
    return [case for _, case in latest.values()]


def _votes(standing: Iterable[tuple[AnswerLine, AssessedResult]]) -> dict[str, Counter[bool]]:
    """Count what readers say of each result, all signed reports as one reader."""
    votes: dict[str, Counter[bool]] = defaultdict(Counter)
    reported: dict[str, set[bool]] = defaultdict(set)
    for answer, result in standing:
        if answer.reason_scheme == REPORT:
            reported[result.key] |= _reported(answer)
        elif (is_positive := _vote(answer, result)) is not None:
            votes[result.key][is_positive] += 1
    for key, said in reported.items():
        votes[key].update(said)
    return votes


def _reported(answer: AnswerLine) -> set[bool]:
    """Say what a signed report makes of a series; empty if it is unclear."""
    said = {Diagnosis.POSITIVE: {True}, Diagnosis.NEGATIVE: {False}}
    return said.get(Diagnosis(answer.reason_code), set())


def _vote(answer: AnswerLine, result: AssessedResult) -> bool | None:
    """Say what a reader makes of a series at the console."""
    if is_of_console(answer):
        return _read_as_positive(answer.reason_code, result.positive)
    return None


def _read_as_positive(reason: str, called_positive: bool | None) -> bool | None:
    """Say what a reader's answer to a result makes of the series; None if nothing."""
    if called_positive is None:
        return {POSITIVE: True, NEGATIVE: False}.get(reason)
    return {AGREE: called_positive, DISAGREE: not called_positive}.get(reason)


def _labelled(result: AssessedResult, *, is_positive: bool, by_diagnosis: bool) -> Labelled | None:
    if result.score is None:
        return None
    return Labelled(
        score=result.score,
        is_positive=is_positive,
        called_positive=result.positive,
        patient=result.patient_key or result.series_instance_uid,
        scanner=result.scanner,
        kernel=result.kernel,
        by_diagnosis=by_diagnosis,
        series_instance_uid=result.series_instance_uid,
    )


def is_of_console(answer: AnswerLine) -> bool:
    """Whether an answer was given here: what comes by DICOM has a sender."""
    return answer.reason_scheme == SCHEME and not answer.calling_ae
