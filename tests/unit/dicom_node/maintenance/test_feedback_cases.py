"""Answers of readers become a case list that training reads, and that names nobody."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_node.maintenance.feedback_cases import case_rows, write_rows
from pipeline.cases.case_list import read_cases
from pipeline.errors import PipelineError
from storage.files.identity_key import IdentityKey
from storage.results.answers import AnswerLine, AssessedResult

AT = datetime(2026, 3, 1, tzinfo=UTC)
LESIONS = [{"number": 2, "side": "left", "volume_ml": 1.25}]
RESULT = AssessedResult(
    key="k1",
    series_instance_uid="2.25.2",
    patient_key="p",
    revision=2,
    model="m 1",
    score=0.71239,
    positive=True,
    summary=json.dumps({"lesions": LESIONS}),
)
EARLIER = AssessedResult(
    key="k0",
    series_instance_uid="2.25.2",
    patient_key="p",
    revision=1,
    model="m 1",
    score=0.2,
    positive=False,
    summary="{}",
)
RESULTS = {"k0": EARLIER, "k1": RESULT}
KEY = IdentityKey(b"k" * 32)


def answer(said: str, finding: str = "", *, revision: int = 2, **others: object) -> AnswerLine:
    values: dict[str, object] = {
        "document_uid": "d",
        "position": 0,
        "result_key": "k1" if revision == 2 else "k0",
        "series_instance_uid": "2.25.2",
        "revision": revision,
        "answer": said,
        "finding": finding and "2.25.5",
        "finding_name": finding,
        "reason_code": "",
        "reason_scheme": "",
        "reason": "",
        "comment": "secret words",
        "observer": "Leser^Lea",
        "role": "",
        "said_at": AT,
        "received_at": AT,
        "calling_ae": "PACS",
        "superseded": False,
    }
    return AnswerLine(**values | others)  # type: ignore[arg-type]  # checked at run time


@pytest.mark.parametrize(
    ("answers", "label"),
    [
        (["accepted"], "1"),
        (["accepted", "accepted"], "1"),
        (["rejected"], ""),
        (["accepted", "rejected"], ""),
        (["modified"], ""),
        (["unclear"], ""),
        (["expired"], ""),
        ([], ""),
    ],
)
def test_a_label_is_given_only_where_all_readers_agree_with_the_result(
    answers: list[str], label: str
) -> None:
    lines = [answer(said) for said in answers] or [answer("accepted", "opacity-2")]
    assert case_rows(lines, RESULTS, {}, KEY)[0].get("label", "") == label


def test_no_label_is_given_where_the_images_are_rejected() -> None:
    images = answer("rejected", result_key="", revision=0)
    assert case_rows([images], RESULTS, {}, KEY) == []
    (row,) = case_rows(
        [answer("accepted"), answer("rejected", kinds=("report",)), images], RESULTS, {}, KEY
    )
    assert row["answer"] == "accepted; report rejected; images rejected"
    (row,) = case_rows([answer("accepted"), images], RESULTS, {}, KEY)
    assert (row["label"], row["answer"]) == ("", "accepted; images rejected")


def test_what_is_of_another_patient_makes_no_case() -> None:
    assert case_rows([answer("accepted", mismatch=("patient",))], RESULTS, {}, KEY) == []


def test_each_finding_has_a_row_with_what_is_known_of_it() -> None:
    lines = [answer("accepted"), answer("rejected", "opacity-2", reason="Hilum")]
    whole, finding = case_rows(lines, RESULTS, {}, KEY)
    assert (whole["score"], whole["revision"], whole["answer"]) == ("0.7124", "2", "accepted")
    assert (finding["finding"], finding["side"], finding["volume_ml"], finding["reason"]) == (
        "opacity-2",
        "left",
        "1.250",
        "Hilum",
    )


def test_what_does_not_stand_and_what_is_about_an_earlier_result_is_left_out() -> None:
    lines = [
        answer("rejected", superseded=True),
        answer("accepted", revision=1),
        answer("modified"),
    ]
    (row,) = case_rows(lines, RESULTS, {}, KEY)
    assert (row["answer"], row["revision"]) == ("modified", "2")


def test_training_reads_the_cases_and_passes_over_the_findings(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = [answer("accepted"), answer("rejected", "opacity-2", reason="=1+1\nx")]
    write_rows(
        tmp_path / "cases.csv", case_rows(lines, RESULTS, {"2.25.2": tmp_path / "images"}, KEY)
    )

    text = (tmp_path / "cases.csv").read_text()
    (case,) = read_cases(tmp_path / "cases.csv")
    assert (case.path, case.label) == (tmp_path / "images", 1)
    assert not any(word in text for word in ("Leser", "secret"))
    assert "'=1+1 x" in text


def test_cases_without_images_are_no_cases_yet(tmp_path: Path) -> None:
    write_rows(tmp_path / "cases.csv", case_rows([answer("accepted")], RESULTS, {}, KEY))
    with pytest.raises(PipelineError, match="an existing file or folder expected"):
        read_cases(tmp_path / "cases.csv")


def test_readers_and_patients_are_told_apart_by_the_key_of_the_installation() -> None:
    """A plain digest of a name is found by trying names."""
    other = IdentityKey(b"o" * 32)
    (here,) = case_rows([answer("accepted")], RESULTS, {}, KEY)
    (there,) = case_rows([answer("accepted")], RESULTS, {}, other)
    assert here["readers"] == KEY.digest("Leser^Lea")[:12]
    assert {here["readers"], here["patient"]}.isdisjoint({there["readers"], there["patient"]})
