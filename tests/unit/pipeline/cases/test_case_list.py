"""Case lists: strict reading, and whole patients on one side of a split."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cases.case_list import Case, Split, read_cases, split_of, write_cases
from pipeline.errors import PipelineError


def written(folder: Path, text: str) -> Path:
    for name in ("ct", "ct2"):
        (folder / name).mkdir(exist_ok=True)
    file = folder / "cases.csv"
    file.write_text(text)
    return file


def test_a_list_is_read_relative_to_its_file(tmp_path: Path) -> None:
    file = written(tmp_path, "path,patient,label,split\nct,p1,1,test\nct2,p2,0,\n")

    first, second = read_cases(file)

    assert first == Case(path=tmp_path / "ct", patient="p1", label=1, split=Split.TEST)
    assert (second.label, second.split) == (0, None)
    assert (first.place, second.place) == ("cases.csv line 2", "cases.csv line 3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\nct,1\n", "missing patient"),
        ("path,patient,label,age\nct,p,1,40\n", "age"),
        ("path,patient,label\n", "at least one case expected"),
        ("path,patient,label\nnone,p,1\nct,,2\n", "line 2: path"),
        ("path,patient,label\nnone,p,1\nct,,2\n", "line 3: a patient expected"),
        ("path,patient,label\nnone,p,1\nct,,2\n", "label 0 or 1 expected, got '2'"),
        ("path,patient,label,split\nct,p,1,training\n", "split train, validation, test expected"),
        (
            "path,patient,label,split\nct,p,1,train\nct2,p,0,test\n",
            r"line 3: the split of the patient's row in cases.csv line 2 expected \(train\)",
        ),
        ("path,patient,label\nct,p,1\nct2/../ct,p,1\n", "line 3: a new path expected"),
        ("path,patient,label\nct,p,1\nct,q,1\n", "line 3: .* and under another patient"),
        ("path,patient,label\nct,p\n", "line 2: another number of fields"),
        ("path,patient,label,slices\nct,p,1,ct2\n", "line 2: slices: a CSV file expected"),
        ("path,patient,label,slices\nct,p,1,none.csv\n", "line 2: slices: an existing file"),
    ],
)
def test_every_fault_is_listed_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        read_cases(written(tmp_path, text))


def test_a_label_may_be_left_out_where_none_is_needed(tmp_path: Path) -> None:
    file = written(tmp_path, "path,patient\nct,p1\n")

    assert read_cases(file, labelled=False)[0].label is None
    with pytest.raises(PipelineError, match="label 0 or 1 expected"):
        read_cases(file)


def test_lists_are_joined_only_if_they_go_together(tmp_path: Path) -> None:
    first = written(tmp_path, "path,patient,label,split\nct,p,1,train\nct2,q,0,train\n")
    other = tmp_path / "other"
    other.mkdir()
    second = written(other, "path,patient,label,split\n../ct,q,1,train\nct2,p,0,test\n")

    with pytest.raises(PipelineError) as fault:
        read_cases(first, second)

    assert "cases.csv line 3: the split" in str(fault.value)
    assert "and under another patient" in str(fault.value)


def test_what_is_written_is_read_from_anywhere(tmp_path: Path) -> None:
    file = written(tmp_path, "path,patient,label,lungs\nct,p,1,ct2\nct2,q,,\n")
    cases = read_cases(file, labelled=False)
    (tmp_path / "run").mkdir()

    write_cases(tmp_path / "run" / "cases.csv", cases, {"p": Split.TEST, "q": Split.TRAIN})

    first, second = read_cases(tmp_path / "run" / "cases.csv", labelled=False)
    assert first == Case(
        path=tmp_path / "ct", patient="p", label=1, lungs=tmp_path / "ct2", split=Split.TEST
    )
    assert (second.label, second.lungs, second.split) == (None, None, Split.TRAIN)


@given(
    patients=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 1), st.sampled_from([None, *Split])),
        min_size=1,
        max_size=120,
    ),
    seed=st.integers(0, 1000),
)
def test_a_patient_is_on_one_side_only(
    patients: list[tuple[int, int, Split | None]], seed: int
) -> None:
    given_split = {number: split for number, _, split in reversed(patients)}
    cases = [
        Case(path=Path("ct"), patient=str(number), label=label, split=given_split[number])
        for number, label, _ in patients
    ]

    chosen = split_of(cases, seed)

    assert chosen.keys() == {case.patient for case in cases}
    assert all(chosen[case.patient] is case.split for case in cases if case.split)
    assert chosen == split_of(list(reversed(cases)), seed)


def test_each_label_is_split_in_proportion() -> None:
    cases = [Case(path=Path("ct"), patient=f"p{n}", label=int(n < 40)) for n in range(140)]

    chosen = split_of(cases, 1)

    for label, count in ((1, 40), (0, 100)):
        splits = [chosen[case.patient] for case in cases if case.label == label]
        assert splits.count(Split.TRAIN) == round(0.7 * count)
        assert splits.count(Split.TEST) == round(0.15 * count)
