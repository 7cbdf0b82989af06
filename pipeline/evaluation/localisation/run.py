"""Compare the systems of localisation on a list of cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.cases.case_list import Case
from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.cases_with_lesions import prepared_case, scene_of
from pipeline.evaluation.localisation.report import Compared
from pipeline.evaluation.localisation.summary import summarise
from pipeline.evaluation.localisation.systems import answers
from pipeline.evaluation.localisation.verdict import Verdict, judge
from pipeline.model.loading import Models

Report = Callable[[int], None]  #: how many cases are done


def compare(cases: Sequence[Case], models: Models, report: Report) -> Compared:
    """Run every system on every case whose lesions are known.

    Raises
    ------
    PipelineError
        If a case cannot be read, or none has known lesions.
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
    cases_judged = next(iter(verdicts.values()), [])
    positive = [verdict for verdict in cases_judged if verdict.volumes_ml]
    if not positive:
        raise PipelineError("cases with known lesions expected, got none")
    return Compared(
        cases=len(cases_judged),
        patients=len({verdict.patient for verdict in cases_judged}),
        positive=len(positive),
        called=sum(verdict.called for verdict in positive),
        unknown=unknown,
        systems=tuple(summarise(system, of_system) for system, of_system in verdicts.items()),
    )
