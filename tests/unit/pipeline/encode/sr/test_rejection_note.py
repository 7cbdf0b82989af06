"""A rejection note names what is superseded, and is read as what it is."""

import pytest
from pydicom import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.sr.rejection_note import rejection_note
from pipeline.feedback.answers import Answer
from pipeline.feedback.read import read_assessment
from tests.support.samples.encode_samples import context, ct_series, read_back

CLASSES = {
    SegmentationStorage: "IMAGE",
    Comprehensive3DSRStorage: "COMPOSITE",
    SecondaryCaptureImageStorage: "IMAGE",
    EncapsulatedPDFStorage: "COMPOSITE",
    KeyObjectSelectionDocumentStorage: "COMPOSITE",
}
OLD = tuple(
    ReportReference(
        sop_class_uid=sop_class,
        sop_instance_uid=f"2.25.10{number}",
        series_instance_uid=f"2.25.20{number}",
        study_instance_uid="1.2.3.1",
    )
    for number, sop_class in enumerate(CLASSES)
)


@pytest.fixture(scope="module")
def note() -> Dataset:
    made = rejection_note(
        ct_series().common.header,
        Rejection(destination="PACS", objects=OLD),
        context(generation=2),
    )
    return read_back(made)


def test_it_lists_every_object_once_in_content_and_evidence(note: Dataset) -> None:
    content = [item for item in note.ContentSequence if "ReferencedSOPSequence" in item]
    named = [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in content]
    assert named == [item.sop_instance_uid for item in OLD]
    assert [str(item.ValueType) for item in content] == list(CLASSES.values())
    assert not any("ConceptNameCodeSequence" in item for item in content)
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == note.StudyInstanceUID
    assert [str(series.SeriesInstanceUID) for series in study.ReferencedSeriesSequence] == [
        item.series_instance_uid for item in OLD
    ]


def test_it_is_a_rejection_for_quality_reasons_of_the_same_patient(note: Dataset) -> None:
    title = note.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113001", "DCM")
    assert note.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert (note.PatientID, note.Modality) == ("P-1", "KO")


def test_whoever_reads_rejection_notes_reads_it(note: Dataset) -> None:
    (said,) = read_assessment(note).statements
    assert said.answer is Answer.REJECTED
    assert said.subjects == tuple(item.series_instance_uid for item in OLD)
    assert said.comment == "Superseded by revision 2 of the results of this series."


def test_notes_of_one_result_are_different_instances() -> None:
    header, rejection = ct_series().common.header, Rejection(destination="A", objects=OLD)
    uids = {rejection_note(header, rejection, context(), n).SOPInstanceUID for n in (1, 2)}
    assert len(uids) == 2


def test_there_is_no_note_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one object"):
        rejection_note(ct_series().common.header, Rejection(destination="A", objects=()), context())
