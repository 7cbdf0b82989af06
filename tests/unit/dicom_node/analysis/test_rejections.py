"""Notes about earlier results are asked of a worker for each destination that wants them."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import KeyObjectSelectionDocumentStorage, SecondaryCaptureImageStorage

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.result_rows import new_objects
from dicom_node.analysis.worker.messages import AnalysisRequest
from dicom_node.analysis.worker.series_task import encode_decided
from dicom_node.analysis.worker.stopwatch import Stopwatch
from dicom_node.delivery.capabilities import instead
from dicom_node.resources import Resources
from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.result.kinds import ResultKind
from storage.delivery.capabilities import Capability, record_capabilities
from storage.delivery.series_completion import record_deliveries
from storage.series.rerun import prospective_ticket
from tests.support.results_due import START, STUDY, UIDS, Hands, store_with_results
from tests.support.samples.encode_samples import CREATED, analysis, ct_series


@pytest.mark.database
def test_destinations_that_want_it_are_told_what_they_have_of_earlier_results(
    tmp_path: Path,
) -> None:
    """PACS has the first result; OTHER is new; PLAIN takes no Key Object Selections."""
    resources = store_with_results(tmp_path, Hands())
    record_delivered(resources, "PLAIN")
    builder = RequestBuilder(
        resources,
        analysis_config_of(Settings()),
        compare=False,
        rejecting=["PACS", "OTHER", "PLAIN"],
    )
    with resources.sessions() as session:
        ticket = prospective_ticket(session, "2.25.2")
    (rejection,) = builder.build(ticket).rejections
    assert rejection.destination == "PACS"
    assert [item.sop_instance_uid for item in rejection.objects] == list(UIDS)
    assert {item.study_instance_uid for item in rejection.objects} == {STUDY}


def record_delivered(resources: Resources, destination: str) -> None:
    """Let a destination have everything, and accept nothing but Secondary Captures."""
    with resources.sessions.begin() as session:
        record_deliveries(session, "k1", [destination], START)
        capability = Capability(
            sop_class_uid=SecondaryCaptureImageStorage, transfer_syntax_uid="1.2.840.10008.1.2"
        )
        record_capabilities(session, destination, [capability], START)


def test_notes_are_packed_behind_the_results_each_for_its_destination() -> None:
    old = ReportReference(
        sop_class_uid=SecondaryCaptureImageStorage,
        sop_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        study_instance_uid="1.2.3.1",
    )
    request = AnalysisRequest(
        series_instance_uid="1.2.3.2",
        files=(),
        config=analysis_config_of(Settings()),
        created=CREATED,
        rejections=tuple(Rejection(destination=name, objects=(old,)) for name in ("A", "B")),
    )
    analysed = encode_decided(request, ct_series(), analysis(), bytes, Stopwatch())

    *results, first, second = analysed.objects
    assert {encoded.only_for for encoded in results} == {""}
    assert [(one.kind, one.only_for) for one in (first, second)] == [
        ("rejection-note", "A"),
        ("rejection-note", "B"),
    ]
    assert new_objects(analysed.objects, "x")[-1].only_for == "B"
    notes = [dcmread(BytesIO(one.part10)) for one in (first, second)]
    assert {note.SOPClassUID for note in notes} == {KeyObjectSelectionDocumentStorage}
    assert notes[0].SOPInstanceUID != notes[1].SOPInstanceUID


def test_a_probe_says_that_no_note_is_made_where_it_is_not_taken() -> None:
    said = instead(ResultKind.REJECTION_NOTE, KeyObjectSelectionDocumentStorage, ())
    assert said == "nothing: no note is made"
