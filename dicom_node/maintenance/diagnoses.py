"""Import final diagnoses as answers to results: all of a file, or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from pipeline.encode.result.identity import derived_uid
from pipeline.feedback.diagnosis import (
    SCHEME,
    Diagnosis,
    DiagnosisRow,
    FaultyDiagnoses,
    read_diagnoses,
)
from storage.database.sessions import Session
from storage.files.identity_key import IdentityKey
from storage.results.diagnoses import ScoredSeries, scored_series
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback

OBSERVER, ROLE = "final diagnosis", "diagnosis"
ACCESSION = "accession"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a file.

    Attributes
    ----------
    skipped
        Lines about nothing that has a score here.
    """

    series: int
    skipped: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        rest = f"; {self.skipped} lines are about nothing that has a score here"
        series = "1 series" if self.series == 1 else f"{self.series} series"
        return f"Diagnoses of {series} are kept{rest if self.skipped else ''}."


def import_diagnoses(
    session: Session, key: IdentityKey, content: bytes, now: datetime, *, skip_unknown: bool
) -> Imported:
    """Enter the diagnoses of a CSV file, in place of what earlier files said of the same results.

    Parameters
    ----------
    key
        Of the digests of accession numbers, which are not kept themselves.
    skip_unknown
        Whether lines may be about nothing that has a score here.

    Raises
    ------
    FaultyDiagnoses
        With all faults of the file; nothing is entered then.
    """
    rows = read_diagnoses(content, now.astimezone().date())
    found = _found(session, key, rows)
    unknown = [row for row in rows if not found.get(row.line)]
    faults = [] if skip_unknown else [_unknown(row) for row in unknown]
    faults.extend(_contradictions(rows, found))
    if faults:
        raise FaultyDiagnoses(faults)
    series = set[str]()
    for row in rows:
        for one in found.get(row.line, ()):
            enter_feedback(session, one, [_document(row, one)], now)
            series.add(one.series_instance_uid)
    return Imported(series=len(series), skipped=len(unknown))


def _found(
    session: Session, key: IdentityKey, rows: Sequence[DiagnosisRow]
) -> dict[int, list[ScoredSeries]]:
    """Find what each line is about, by its number."""
    by_column: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        name, value = row.about
        by_column[name][key.digest(value) if name == ACCESSION else value].append(row.line)
    return {
        line: series
        for name, lines in by_column.items()
        for value, series in scored_series(session, name, lines).items()
        for line in lines[value]
    }


def _unknown(row: DiagnosisRow) -> str:
    return f"line {row.line}: there is no series with a score of this {row.about[0]}"


def _contradictions(
    rows: Sequence[DiagnosisRow], found: dict[int, list[ScoredSeries]]
) -> Iterator[str]:
    """Say which lines give a series two diagnoses: one by its study, another by itself."""
    said: dict[str, DiagnosisRow] = {}
    for row in rows:
        for one in found.get(row.line, ()):
            before = said.setdefault(one.series_instance_uid, row)
            if before.diagnosis is not row.diagnosis:
                yield f"line {row.line}: another diagnosis of a series than line {before.line}"
                break


def _document(row: DiagnosisRow, about: ScoredSeries) -> NewDocument:
    """Make the row: one for each result, which another file replaces."""
    answer = NewAnswer(
        answer=_answer(row.diagnosis, about),
        subjects=about.objects,
        reason_code=row.diagnosis,
        reason_scheme=SCHEME,
        reason=f"Final diagnosis: {row.diagnosis}",
    )
    return NewDocument(
        document_uid=str(derived_uid(about.result_key, "diagnosis")),
        answers=(answer,),
        observer=OBSERVER,
        role=ROLE,
        said_at=datetime.combine(row.on, time(12), UTC),
    )


def _answer(diagnosis: Diagnosis, about: ScoredSeries) -> str:
    """Say what a diagnosis means for a result, in the words of `pipeline.feedback.answers`."""
    if diagnosis is Diagnosis.UNCLEAR or about.positive is None:
        return "unclear"
    return "accepted" if about.positive is (diagnosis is Diagnosis.POSITIVE) else "rejected"
