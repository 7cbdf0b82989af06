"""Final diagnoses in CSV: all faults at once, with their lines and without their values."""

from datetime import date

import pytest

from pipeline.feedback.diagnosis import (
    MAXIMUM_BYTES,
    MOST_FAULTS,
    Diagnosis,
    FaultyDiagnoses,
    read_diagnoses,
)

TODAY = date(2026, 5, 1)


def test_lines_are_read_with_their_numbers() -> None:
    text = 'Accession; diagnosis;date\r\n\r\n"A 1";Positive;2026-04-01\r\nA2;0;2026-05-01\r\n'
    rows = read_diagnoses(b"\xef\xbb\xbf" + text.encode(), TODAY)
    assert [(row.line, row.about, row.diagnosis) for row in rows] == [
        (3, ("accession", "A 1"), Diagnosis.POSITIVE),
        (4, ("accession", "A2"), Diagnosis.NEGATIVE),
    ]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["the file is empty"]),
        ("x" * (MAXIMUM_BYTES + 1), ["expected at most 1048576 bytes"]),
        ("accession,diagnosis\n", ["line 1: expected a column date"]),
        ("name,diagnosis,date\n", ["column 1 is none of them", "line 1: expected a column acc"]),
        ("accession,diagnosis,date\n", ["expected 1 to 1000 diagnoses, got 0"]),
        ("accession,diagnosis,date\n" + "A,1,2026-01-01\n" * 1001, ["got 1001"]),
        (b"accession,diagnosis,date\nM\xfcller,1,2026-01-01\n", ["line 2: expected UTF-8"]),
        ('accession,diagnosis,date\n"A 1,1,2026-01-01\n', ["expected CSV"]),
        (
            "accession,series_instance_uid,diagnosis,date\n"
            "A 1,,maybe,2026-13-01\nA2,1.2.2,1,2026-01-01\n,,1,2099-01-01\nA2,,1\n",
            [
                "line 2: expected a diagnosis of",
                "line 2: expected a date as",
                "line 3: expected one of",
                "line 4: expected one of",
                "line 4: the date is in the future",
                "line 5: expected 4 values, got 3",
            ],
        ),
        (
            "accession,diagnosis,date\nA 1,1,2026-01-01\nA 1,0,2026-01-01\n",
            ["line 3: the same accession as in line 2"],
        ),
    ],
)
def test_all_faults_are_listed(text: str | bytes, faults: list[str]) -> None:
    with pytest.raises(FaultyDiagnoses) as caught:
        read_diagnoses(text if isinstance(text, bytes) else text.encode(), TODAY)
    found = "\n".join(caught.value.faults)
    assert [fault for fault in faults if fault not in found] == []
    assert "ller" not in found


def test_no_more_faults_are_listed_than_anybody_reads() -> None:
    text = "accession,diagnosis,date\n" + "A,x,y\n" * 900
    with pytest.raises(FaultyDiagnoses) as caught:
        read_diagnoses(text.encode(), TODAY)
    assert len(caught.value.faults) == MOST_FAULTS + 1
    assert caught.value.faults[-1] == "and 1700 more"
