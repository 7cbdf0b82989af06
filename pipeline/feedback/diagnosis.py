"""Read final diagnoses from CSV: all faults at once, with the numbers of their lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pipeline.errors import PipelineError

SCHEME = "99DIAGNOSIS"  #: of the reasons of answers that are final diagnoses
MAXIMUM_BYTES = 1 << 20  #: of a file
MAXIMUM_ROWS = 1000  #: each is some writes to the database, in one transaction
MOST_FAULTS = 100  #: that are named
ABOUT = ("accession", "study_instance_uid", "series_instance_uid")
NEEDED = ("diagnosis", "date")
VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,64}")  #: LO and UI hold no more (PS3.5 6.2)


class Diagnosis(StrEnum):
    """The final diagnosis of a study: whether the disease was there."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCLEAR = "unclear"


WORDS = {**{str(one): one for one in Diagnosis}, "1": Diagnosis.POSITIVE, "0": Diagnosis.NEGATIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRow:
    """A line of the file.

    Attributes
    ----------
    line
        Its number, from 1.
    about
        Name of the column by which it says what it is about, and the value.
    """

    line: int
    about: tuple[str, str]
    diagnosis: Diagnosis
    on: date


class FaultyDiagnoses(PipelineError):
    """A file of diagnoses is not to be imported.

    Attributes
    ----------
    faults
        A sentence each, with the number of the line and without its values.
    """

    def __init__(self, faults: list[str]) -> None:
        named = faults[:MOST_FAULTS]
        if len(faults) > MOST_FAULTS:
            named.append(f"and {len(faults) - MOST_FAULTS} more")
        self.faults = tuple(named)
        super().__init__("nothing was imported: " + "; ".join(named))


def read_diagnoses(content: bytes, today: date) -> list[DiagnosisRow]:
    """Read the lines of a file in UTF-8, its columns parted by commas or semicolons.

    Parameters
    ----------
    content
        Of the file; its first line names the columns: one or more of `ABOUT`, of which each line
        has one, and `NEEDED`.

    Raises
    ------
    FaultyDiagnoses
        With all faults.
    """
    if len(content) > MAXIMUM_BYTES:
        raise FaultyDiagnoses([f"expected at most {MAXIMUM_BYTES} bytes, got {len(content)}"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise FaultyDiagnoses([f"line {line}: expected UTF-8"]) from fault
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, values) for values in reader]
    except csv.Error as fault:
        raise FaultyDiagnoses([f"line {reader.line_num}: expected CSV: {fault}"]) from fault
    if not lines:
        raise FaultyDiagnoses(["expected a line with the names of the columns, the file is empty"])
    columns = [name.strip().lower() for name in lines[0][1]]
    if faults := list(_column_faults(columns)):
        raise FaultyDiagnoses(faults)
    rows = [(number, values) for number, values in lines[1:] if any(map(str.strip, values))]
    if not 1 <= len(rows) <= MAXIMUM_ROWS:
        raise FaultyDiagnoses([f"expected 1 to {MAXIMUM_ROWS} diagnoses, got {len(rows)}"])
    return _rows(columns, rows, today)


def _column_faults(columns: list[str]) -> Iterator[str]:
    known = (*ABOUT, *NEEDED)
    if len(set(columns)) < len(columns):
        yield "line 1: expected every column once"
    if unknown := [number for number, name in enumerate(columns, 1) if name not in known]:
        numbers = ", ".join(map(str, unknown))
        yield f"line 1: expected the columns {', '.join(known)}; column {numbers} is none of them"
    for name in NEEDED:
        if name not in columns:
            yield f"line 1: expected a column {name}"
    if not set(ABOUT) & set(columns):
        yield f"line 1: expected a column {', '.join(ABOUT[:-1])} or {ABOUT[-1]}"


def _rows(
    columns: list[str], lines: list[tuple[int, list[str]]], today: date
) -> list[DiagnosisRow]:
    faults: list[str] = []
    rows: list[DiagnosisRow] = []
    said: dict[tuple[str, str], DiagnosisRow] = {}
    for number, values in lines:
        if len(values) != len(columns):
            faults.append(f"line {number}: expected {len(columns)} values, got {len(values)}")
            continue
        row = dict(zip(columns, map(str.strip, values), strict=True))
        if wrong := list(_row_faults(row, today)):
            faults.extend(f"line {number}: {fault}" for fault in wrong)
            continue
        ((name, value),) = [(name, row[name]) for name in ABOUT if row.get(name)]
        read = DiagnosisRow(
            line=number,
            about=(name, value),
            diagnosis=WORDS[row["diagnosis"].lower()],
            on=date.fromisoformat(row["date"]),
        )
        before = said.setdefault(read.about, read)
        if before is not read:
            faults.append(f"line {number}: the same {name} as in line {before.line}")
        rows.append(read)
    if faults:
        raise FaultyDiagnoses(faults)
    return rows


def _row_faults(row: Mapping[str, str], today: date) -> Iterator[str]:
    given = [name for name in ABOUT if row.get(name)]
    if len(given) != 1:
        yield f"expected one of {', '.join(ABOUT)}, got {len(given) or 'none'}"
    elif not VALUE.fullmatch(row[given[0]]):
        yield f"expected a {given[0]} of at most 64 characters"
    if row["diagnosis"].lower() not in WORDS:
        yield f"expected a diagnosis of {', '.join(WORDS)}"
    try:
        if date.fromisoformat(row["date"]) > today:
            yield "the date is in the future"
    except ValueError:
        yield "expected a date as 2026-05-01"
