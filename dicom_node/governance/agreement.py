"""Agreement of results with signed reports, of each scanner and month; and where they disagree.

Reports are about a study: it is compared once, its latest report with the series of it that says
the most; reports that contradict each other are unclear. Where a
result is indeterminate, or a report uncertain, there is nothing to agree with; they are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from dicom_node.governance.csv_text import csv_text
from pipeline.feedback.diagnosis import Diagnosis
from pipeline.metrics.agreement import AgreementTable, kappa, observed_agreement
from pipeline.metrics.statistics import Estimate, Proportion
from storage.results.signed_reports import ReportedSeries

ALL = ""  #: month, and scanner, of the line of all
CALLED = {True: "above", None: "indeterminate", False: "below"}
RANKS = {True: 2, None: 1, False: 0}  #: of what results of one study say the highest counts
COLUMNS = (
    "month",
    "scanner",
    "model",
    "reference",
    "reported_at",
    "study_instance_uid",
    "series_instance_uid",
    "result",
    "score",
    "report",
    "covid_19",
    "pneumonia",
    "agrees",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The latest report of a study, and its result.

    Attributes
    ----------
    month
        Of the report, such as 2026-03, in the zone of this machine.
    result
        above, indeterminate or below.
    report
        positive, negative or unclear, of COVID-19.
    agrees
        None where one of both does not say.
    """

    month: str
    scanner: str
    model: str
    reference: str
    reported_at: datetime
    study_instance_uid: str
    series_instance_uid: str
    result: str
    score: float
    report: str
    covid_19: str
    pneumonia: str
    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLine:
    """Agreement of one scanner in one month; both are empty in the line of all.

    Attributes
    ----------
    reports
        All, of which some are unclear.
    table
        Of the others; what the result says stands first.
    """

    month: str
    scanner: str
    reports: int
    unclear: int
    indeterminate: int
    table: AgreementTable
    share: Proportion | None
    kappa: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement with signed reports.

    Attributes
    ----------
    lines
        The latest month first; the first line is that of all.
    disagreements
        The latest first.
    of_other_patients
        Reports that name another patient than the images of their study: they do not count.
    """

    lines: tuple[AgreementLine, ...]
    disagreements: tuple[Comparison, ...]
    of_other_patients: int


def agreement(reported: Sequence[ReportedSeries]) -> Agreement:
    """Compare results with reports."""
    compared = comparisons(reported)
    return Agreement(
        lines=tuple(_lines(compared)),
        disagreements=tuple(one for one in reversed(compared) if one.agrees is False),
        of_other_patients=len({one.order_key for one in reported if one.of_other_patient}),
    )


def comparisons(reported: Iterable[ReportedSeries]) -> list[Comparison]:
    """Compare the report of each study with one result, the earliest report first."""
    by_study: dict[str, list[ReportedSeries]] = defaultdict(list)
    for one in reported:
        if not one.of_other_patient:
            by_study[one.study_instance_uid].append(one)
    chosen = [_of_study(lines) for lines in by_study.values()]
    return [
        _comparison(one) for one in sorted(chosen, key=lambda one: (one.reported_at, one.order_key))
    ]


def _of_study(lines: Sequence[ReportedSeries]) -> ReportedSeries:
    """Choose the latest report of a study, and its series that says the most."""
    order_key = max(lines, key=lambda one: (one.reported_at, one.order_key)).order_key
    chosen = max(
        (one for one in lines if one.order_key == order_key),
        key=lambda one: (RANKS[one.positive], one.score, one.series_instance_uid),
    )
    said = {one.diagnosis for one in lines}
    is_contradicted = {Diagnosis.POSITIVE, Diagnosis.NEGATIVE} <= said
    return replace(chosen, diagnosis=str(Diagnosis.UNCLEAR)) if is_contradicted else chosen


def _comparison(one: ReportedSeries) -> Comparison:
    says = {Diagnosis.POSITIVE: True, Diagnosis.NEGATIVE: False}.get(Diagnosis(one.diagnosis))
    is_said = says is not None and one.positive is not None
    return Comparison(
        month=f"{one.reported_at.astimezone():%Y-%m}",
        scanner=one.scanner,
        model=one.model,
        reference=one.reference,
        reported_at=one.reported_at,
        study_instance_uid=one.study_instance_uid,
        series_instance_uid=one.series_instance_uid,
        result=CALLED[one.positive],
        score=one.score,
        report=one.diagnosis,
        covid_19=one.covid_19,
        pneumonia=one.pneumonia,
        agrees=says is one.positive if is_said else None,
    )


def _lines(compared: Sequence[Comparison]) -> list[AgreementLine]:
    def place(one: Comparison) -> tuple[str, str]:
        return one.month, one.scanner

    lines = [
        _line(month, scanner, list(group))
        for (month, scanner), group in groupby(sorted(compared, key=place), key=place)
    ]
    lines.sort(key=lambda line: line.scanner)
    lines.sort(key=lambda line: line.month, reverse=True)
    return [_line(ALL, ALL, compared), *lines]


def _line(month: str, scanner: str, compared: Sequence[Comparison]) -> AgreementLine:
    decided = [(one.result, one.report) for one in compared if one.agrees is not None]
    above, below = CALLED[True], CALLED[False]
    table = AgreementTable(
        both_positive=decided.count((above, Diagnosis.POSITIVE)),
        positive_negative=decided.count((above, Diagnosis.NEGATIVE)),
        negative_positive=decided.count((below, Diagnosis.POSITIVE)),
        both_negative=decided.count((below, Diagnosis.NEGATIVE)),
    )
    return AgreementLine(
        month=month,
        scanner=scanner,
        reports=len(compared),
        unclear=sum(one.report == Diagnosis.UNCLEAR for one in compared),
        indeterminate=sum(one.result == CALLED[None] for one in compared),
        table=table,
        share=observed_agreement(table),
        kappa=kappa(table),
    )


def as_csv(compared: Iterable[Comparison]) -> str:
    """Give comparisons as the text of a CSV file, a line for each report."""
    return csv_text(
        COLUMNS, ({name: _cell(getattr(one, name)) for name in COLUMNS} for one in compared)
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value:.4f}" if isinstance(value, float) else str(value)
