"""Documents of readers are read as they are meant, and never guessed."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sr.coding import Code

from pipeline.errors import UnsuitableSeries
from pipeline.feedback.answers import Answer, Concept
from pipeline.feedback.codes import ANSWERS, answer_of
from pipeline.feedback.read import read_assessment
from tests.support.samples import feedback_documents as documents
from tests.support.samples.encode_samples import read_back

REPORT = documents.named("2.25.101", "2.25.9")
OTHER = documents.named("2.25.102", "2.25.10")


def unsuitable(document: Dataset) -> tuple[str, str]:
    with pytest.raises(UnsuitableSeries) as raised:
        read_assessment(document)
    return raised.value.code, raised.value.text


@pytest.mark.parametrize(
    ("title", "answer", "reason"),
    [
        (documents.QUALITY, Answer.REJECTED, "quality"),
        (documents.SAFETY, Answer.REJECTED, "patient safety"),
        (
            Code("113038", "DCM", "Incorrect Modality Worklist Entry"),
            Answer.REJECTED,
            "incorrect worklist entry",
        ),
        (documents.EXPIRED, Answer.EXPIRED, "retention time over"),
        (documents.REVOKED, Answer.REVOKED, ""),
    ],
)
def test_a_rejection_note_says_what_it_rejects_and_why(
    title: Code, answer: Answer, reason: str
) -> None:
    note = read_back(documents.rejection([REPORT, OTHER], title=title))
    read = read_assessment(note)

    (said,) = read.statements
    assert (said.answer, said.reason.meaning, said.comment) == (answer, reason, "Lung is cut off")
    assert said.reason.value == title.value
    assert said.subjects == ("2.25.9", "2.25.10")
    assert (read.observer, read.role) == (documents.READER, "Physician")
    assert isinstance(read.said_at, datetime)
    assert read.sop_instance_uid == note.SOPInstanceUID


def test_a_selection_for_another_purpose_is_no_answer() -> None:
    code, text = unsuitable(documents.rejection([REPORT], title=documents.OF_INTEREST))
    assert code == "no-assessment"
    assert "(113000, DCM)" in text


def test_a_note_without_references_in_its_content_rejects_its_evidence() -> None:
    note = documents.rejection([REPORT])
    note.ContentSequence = [item for item in note.ContentSequence if item.ValueType != "COMPOSITE"]
    assert read_assessment(note).statements[0].subjects == ("2.25.9",)


@pytest.mark.parametrize(
    ("word", "answer"),
    [("accept", "accepted"), ("reject", "rejected"), ("modify", "modified")],
)
def test_an_assessment_answers_to_the_whole_result(word: str, answer: str) -> None:
    document = documents.assessment(
        [REPORT], documents.decision(word), documents.comment("Vessel, seen on coronal")
    )
    (said,) = read_assessment(read_back(document)).statements
    assert (said.answer, said.finding, said.subjects) == (answer, "", ("2.25.9",))
    assert said.comment == "Vessel, seen on coronal"


def test_what_is_answered_both_ways_is_unclear() -> None:
    document = documents.assessment(
        [REPORT], documents.decision("accept"), documents.decision("reject")
    )
    (statement,) = read_assessment(document).statements
    assert statement.answer is Answer.UNCLEAR
    assert statement.reason == Concept(meaning="accepted and rejected")


def test_an_assessment_answers_finding_by_finding() -> None:
    document = documents.assessment(
        [REPORT],
        documents.of_finding("2.25.51", documents.decision("accept")),
        documents.of_finding(
            "2.25.52", documents.decision("reject"), documents.reason("Hilum, not opacity")
        ),
    )
    said = read_assessment(read_back(document)).statements
    assert [(one.finding, one.answer, one.reason.meaning) for one in said] == [
        ("2.25.51", "accepted", ""),
        ("2.25.52", "rejected", "Hilum, not opacity"),
    ]
    assert {one.subjects for one in said} == {("2.25.9",)}


def test_a_decision_that_is_not_known_is_kept_as_it_was_written() -> None:
    unknown = documents.decision("wait", meaning="Wait for the biopsy")
    (said,) = read_assessment(documents.assessment([REPORT], unknown)).statements
    assert said.answer is Answer.UNCLEAR
    assert said.reason == Concept(value="AIRA-WAIT", scheme="99PACS", meaning="Wait for the biopsy")


def test_an_assessment_in_words_alone_is_unclear_and_its_words_are_kept() -> None:
    document = documents.assessment([REPORT], documents.comment("Looks fine to me"))
    (said,) = read_assessment(document).statements
    assert (said.answer, said.comment) == (Answer.UNCLEAR, "Looks fine to me")


def test_a_report_that_only_cites_results_is_no_answer() -> None:
    document = documents.assessment(
        [REPORT], documents.comment("The AI found opacities."), title="Chest CT Report"
    )
    assert unsuitable(document)[0] == "no-assessment"


def test_a_draft_is_no_answer() -> None:
    document = documents.assessment([REPORT], documents.decision("reject"))
    document.CompletionFlag = "PARTIAL"
    assert unsuitable(document)[0] == "no-assessment"


def test_an_amendment_names_what_it_amends() -> None:
    first = documents.assessment([REPORT], documents.decision("reject"))
    second = documents.assessment([REPORT], documents.decision("accept"), predecessors=[first])
    assert read_assessment(second).predecessors == (first.SOPInstanceUID,)


@pytest.mark.parametrize("words", ["Frau Muster: hilum", "see P-1 of May", "MIA has a vessel"])
def test_words_that_name_the_patient_are_not_kept(words: str) -> None:
    document = documents.assessment(
        [REPORT], documents.decision("reject"), documents.comment(words)
    )
    assert read_assessment(document).statements[0].comment == ""


def test_the_patient_is_no_observer() -> None:
    document = documents.assessment([REPORT], documents.decision("reject"), reader="Muster^Mia")
    assert read_assessment(document).observer == ""


def test_references_of_a_root_sequence_stand_for_evidence() -> None:
    """As the creator of pacs_system writes them."""
    document = documents.assessment([REPORT], documents.decision("accept"))
    document.ReferencedSOPSequence = [Dataset()]
    document.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.77"
    del document.CurrentRequestedProcedureEvidenceSequence
    assert read_assessment(document).statements[0].subjects == ("2.25.77",)


@pytest.mark.parametrize("words", sorted(ANSWERS))
def test_every_word_of_the_table_is_understood_in_any_case(words: str) -> None:
    assert answer_of(Concept(meaning=words.upper())) is ANSWERS[words]


@given(words=st.text(max_size=30))
def test_no_other_word_is_guessed(words: str) -> None:
    expected = ANSWERS.get(" ".join(words.casefold().split()), Answer.UNCLEAR)
    assert answer_of(Concept(meaning=words)) is expected
