"""The table of scores: read strictly, all faults at once."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.metrics.scores import Origin, read_origin, read_scores


def write(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_scores_are_read(tmp_path: Path) -> None:
    cases = read_scores(write(tmp_path, "patient,label,score\na,1,0.75\nb,0,1e-3\na,1,1\n"))

    assert cases.patients == ("a", "b", "a")
    assert cases.labels.tolist() == [True, False, True]
    assert cases.scores.tolist() == [0.75, 0.001, 1.0]
    assert (cases.positives, cases.negatives, cases.patient_count) == (2, 1, 2)


def test_columns_may_come_in_any_order_and_a_path_may_be_named(tmp_path: Path) -> None:
    cases = read_scores(write(tmp_path, "\ufeffscore,path,label,patient\n0.5,ct/1,0,a\n"))

    assert cases.patients == ("a",)


def test_every_fault_is_listed_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "patient,label,score\na,2,0.5\nb,1,1.5\nc,0,0.1\n,1,nan\nd,1\ne,,high\nf,0,1,2\n"
    )

    with pytest.raises(PipelineError) as caught:
        read_scores(path)

    for fault in (
        "line 2: expected label 0 or 1, got '2'",
        "line 3: expected score 0 to 1, got '1.5'",
        "line 5: expected a patient, got nothing",
        "line 5: expected score 0 to 1, got 'nan'",
        "line 6: expected as many values as columns",
        "line 7: expected label 0 or 1, got ''",
        "line 7: expected score 0 to 1, got 'high'",
        "line 8: expected as many values as columns",
    ):
        assert fault in str(caught.value)
    assert "line 4" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns patient, label, score .* got nothing"),
        ("patient,score\na,0.5\n", "line 1: expected the columns .* got patient, score"),
        ("patient,label,score,age\na,1,0.5,50\n", "got patient, label, score, age"),
        ("patient,label,score,score\na,1,0.5,0.4\n", "got patient, label, score, score"),
        ("patient,label,score\n", "at least one case, got none"),
        ('patient,label,score\n"a"b,1,0.5\n', "expected a CSV file"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        read_scores(write(tmp_path, text))


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="expected a readable file"):
        read_scores(tmp_path / "none.csv")
    (tmp_path / "scores.csv").write_bytes(b"patient,label,score\n\xff\xfe,1,0.5\n")
    with pytest.raises(PipelineError, match="UTF-8"):
        read_scores(tmp_path / "scores.csv")


def test_whose_scores_they_are_is_read(tmp_path: Path) -> None:
    text = "patient,label,score,weights,temperature\na,1,0.75,abc,1.5\nb,0,0.1,abc,1.5\n"
    assert read_origin(write(tmp_path, text)) == Origin(weights="abc", temperature=1.5)


@pytest.mark.parametrize("said", [",1.5", "abc,", "abc,0", "abc,-1", "abc,nan", "abc,warm"])
def test_scores_of_nobody_known_are_refused(tmp_path: Path, said: str) -> None:
    path = write(tmp_path, f"patient,label,score,weights,temperature\na,1,0.75,{said}\n")
    with pytest.raises(PipelineError, match="columns weights and temperature expected"):
        read_origin(path)


@pytest.mark.parametrize("other", ["abd,1.5", "abc,1.4"])
def test_scores_of_several_are_refused(tmp_path: Path, other: str) -> None:
    text = f"patient,label,score,weights,temperature\na,1,0.75,abc,1.5\nb,0,0.1,{other}\n"
    with pytest.raises(PipelineError, match="got several"):
        read_origin(write(tmp_path, text))
