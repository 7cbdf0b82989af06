"""Figures of the model at a site: the truth of its cases, and what follows from it."""

from dataclasses import replace

from dicom_node.console.feedback.performance import performance
from dicom_node.console.feedback.truth import Labelled, labelled
from storage.results.answers import REPORT, AnswerLine, AssessedResult
from tests.support.console.console_under_test import NOW


def said(
    answer: str, result: str, *, by: str = "a", sender: str = "", scheme: str = "99CONSOLE"
) -> AnswerLine:
    """Make an answer of the console; with a sender, one that only looks like it."""
    return AnswerLine(
        document_uid=f"{by}{result}",
        position=0,
        result_key=result,
        series_instance_uid=result,
        revision=1,
        answer="",
        finding="",
        finding_name="",
        reason_code=answer,
        reason_scheme=scheme,
        reason="",
        comment="",
        observer=by,
        role="console",
        said_at=NOW,
        received_at=NOW,
        calling_ae=sender,
        superseded=False,
    )


def result(key: str, *, positive: bool | None, model: str = "m 1") -> AssessedResult:
    return AssessedResult(
        key=key,
        series_instance_uid=key,
        patient_key="",
        revision=1,
        model=model,
        score=0.7,
        positive=positive,
        summary="{}",
    )


def test_the_signed_reports_of_a_study_are_one_reader() -> None:
    results = {key: result(key, positive=True) for key in "abc"}
    answers = [
        *(said("positive", "a", by=report, scheme=REPORT) for report in ("r1", "r2")),
        said("disagree", "a"),
        *(said("negative", "b", by=report, scheme=REPORT) for report in ("r1", "r2")),
        *(said(words, "c", by=words, scheme=REPORT) for words in ("positive", "negative")),
        said("agree", "c"),
    ]

    found = labelled(answers, results, model="m 1")

    assert {one.series_instance_uid: one.is_positive for one in found} == {"b": False, "c": True}


def test_labels_are_what_most_readers_said_of_results_of_the_model() -> None:
    results = {
        "a": result("a", positive=True),
        "b": result("b", positive=True),
        "c": result("c", positive=False),
        "d": result("d", positive=True, model="m 2"),
    }
    answers = [
        said("agree", "a"),
        said("unsure", "a", by="b"),
        said("agree", "b"),
        said("disagree", "b", by="b"),  # divided
        said("disagree", "c"),
        said("agree", "d"),  # of another model
        said("disagree", "a", by="c", sender="PACS"),  # by DICOM: anybody may write so
        said("disagree", "a", by="d", sender="PACS"),
    ]
    found = labelled(answers, results, model="m 1")
    assert [(one.patient, one.is_positive) for one in found] == [("a", True), ("c", True)]


def test_of_an_indeterminate_result_counts_what_readers_read_and_not_that_they_agree() -> None:
    results = {key: result(key, positive=None) for key in "abc"}
    answers = [
        said("agree", "a"),
        said("positive", "b", by="", scheme="99DIAGNOSIS"),
        said("negative", "c"),
        said("unsure", "c", by="b"),
    ]
    found = labelled(answers, results, model="m 1")
    assert {one.patient: one.is_positive for one in found} == {"b": True, "c": False}
    assert {one.called_positive for one in found} == {None}


def test_indeterminate_results_are_counted_apart_from_agreement() -> None:
    undecided = Labelled(score=0.4, is_positive=False, patient="u", scanner="B")
    cases = [case(0.9, positive=True), replace(undecided, scanner="A"), undecided]
    found = performance(cases, threshold=0.5, prevalence=0.05)
    first, second = found.agreements
    assert first.share is not None
    assert (first.scanner, first.cases, first.indeterminate) == ("A", 2, 1)
    assert (first.share.count, first.share.total) == (1, 1)
    assert (second.scanner, second.indeterminate, second.share) == ("B", 1, None)
    assert found.indeterminate == 2


def test_a_diagnosis_outweighs_readers() -> None:
    results = {"a": result("a", positive=True), "b": result("b", positive=True)}
    answers = [
        said("agree", "a"),
        said("negative", "a", by="", scheme="99DIAGNOSIS"),
        said("unclear", "b", by="", scheme="99DIAGNOSIS"),
        said("positive", "b", sender="PACS", scheme="99DIAGNOSIS"),  # anybody may write so
    ]
    (found,) = labelled(answers, results, model="m 1")
    assert (found.is_positive, found.by_diagnosis) == (False, True)


def case(score: float, *, positive: bool, patient: str = "", scanner: str = "A") -> Labelled:
    called = score > 0.5
    return Labelled(
        score=score,
        is_positive=positive,
        called_positive=called,
        patient=patient or str(score),
        scanner=scanner,
    )


def test_figures_are_those_of_a_textbook() -> None:
    # Hanley and McNeil, Radiology 1982;143:29: ratings of 58 normal and 51 abnormal CT images
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    cases = [
        Labelled(score=rating / 4, is_positive=positive, patient=f"{positive}{rating}{number}")
        for positive, counts in ((False, normal), (True, abnormal))
        for rating, count in enumerate(counts)
        for number in range(count)
    ]
    found = performance(cases, threshold=0.5, prevalence=0.05)
    assert found.area is not None
    assert round(found.area.value, 3) == 0.893
    assert found.area.low < 0.893 < found.area.high
    assert (found.roc[0], found.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert found.row is not None
    assert (found.row.true_positives, found.row.false_positives) == (44, 13)
    assert not found.is_few
    assert not found.by_patients


def test_few_cases_are_said_to_be_few_and_patients_are_not_counted_twice() -> None:
    few = [case(0.9, positive=True), case(0.2, positive=False)]
    found = performance(few, threshold=0.5, prevalence=0.05)
    assert (found.is_few, found.area, found.cases, found.positives) == (True, None, 2, 1)
    more = [*few, case(0.8, positive=True, patient="p"), case(0.7, positive=False, patient="p")]
    found = performance(more, threshold=0.5, prevalence=0.05)
    assert found.by_patients
    (agreement,) = found.agreements
    assert agreement.share is not None
    assert (agreement.share.count, agreement.share.total, agreement.is_few) == (3, 4, True)
