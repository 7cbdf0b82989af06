"""Compare the systems of localisation on a list of cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.cases.case_list import Case
from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.cases_with_lesions import prepared_case, scene_of
from pipeline.evaluation.localisation.report import Compared
from pipeline.evaluation.localisation.summary import summarise
from pipeline.evaluation.localisation.systems import answers
from pipeline.evaluation.localisation.verdict import Verdict, judge
from pipeline.model.loading import Models

Report = Callable[[int], None]  #: how many cases are done


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts on the cases of a list.

    Attributes
    ----------
    verdicts
        By system, in the order of the cases.
    unknown
        How many cases were left out because nobody knows where their lesions are.
    """

    verdicts: Mapping[str, Sequence[Verdict]]
    unknown: int


def judge_cases(cases: Sequence[Case], models: Models, report: Report) -> Judged:
    """Run every system on every case whose lesions are known.

    Raises
    ------
    PipelineError
        If a case cannot be read.
    """
    verdicts: dict[str, list[Verdict]] = {}
    unknown = 0
    for number, case in enumerate(cases):
        report(number)
        prepared = prepared_case(case, models)
        if not prepared.lesions_known:
            unknown += 1
            continue
        scene = scene_of(case.patient, prepared, models)
        for system, found in answers(scene):
            verdicts.setdefault(system, []).append(judge(scene, found))
    report(len(cases))
    return Judged(verdicts=verdicts, unknown=unknown)


def compared(judged: Judged) -> Compared:
    """Sum up the verdicts.

    Raises
    ------
    PipelineError
        If no case has known lesions.
    """
    of_cases = next(iter(judged.verdicts.values()), ())
    positive = [verdict for verdict in of_cases if verdict.volumes_ml]
    if not positive:
        raise PipelineError("cases with known lesions expected, got none")
    return Compared(
        cases=len(of_cases),
        patients=len({verdict.patient for verdict in of_cases}),
        positive=len(positive),
        called=sum(verdict.called for verdict in positive),
        unknown=judged.unknown,
        systems=tuple(
            summarise(system, of_system) for system, of_system in judged.verdicts.items()
        ),
    )
