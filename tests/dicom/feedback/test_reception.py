"""Documents of readers over real associations: taken in, read, and shown beside the result."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE
from typer.testing import CliRunner

from dicom_node.analysis.worker.messages import Unchanged
from dicom_node.cli.app import app
from dicom_node.cli.views.status import answer_words
from dicom_node.maintenance.feedback_cases import case_rows
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.resources import Resources
from pipeline.encode.result.identity import derived_uid
from pipeline.series.sop_classes import CT_CLASSES, DOCUMENT_CLASSES
from storage.database.schema import ResultObject
from storage.overview import SeriesLine, overview
from storage.results.answers import answer_counts, answers_to, are_images_rejected
from storage.series.documents import documents_beside
from storage.series.instances import record_instance
from storage.series.lifecycle import close, receiving, reprocess
from tests.support.databases import database_url
from tests.support.dispatcher_samples import Workers, dispatcher
from tests.support.reception import running_receiver
from tests.support.results_due import CT, SERIES, START, UIDS, Hands, store_with_results
from tests.support.samples import feedback_documents as documents

pytestmark = pytest.mark.database

HEATMAP = documents.named(UIDS[0], SERIES, "1.2.840.10008.5.1.4.1.1.7")
STRANGER = documents.named("2.25.700", "2.25.701")


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """One result, key ``k1``, of the CT series 2.25.2."""
    return store_with_results(tmp_path, Hands())


def send(address: tuple[str, int], instances: Sequence[Dataset]) -> list[int]:
    ae = AE("PACS")
    for ds in instances:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(*address, ae_title="AINODE")
    if not assoc.is_established:
        return []
    with reactor_paused(assoc):
        statuses = [int(assoc.send_c_store(ds).Status) for ds in instances]
    assoc.release()
    return statuses


def receive(resources: Resources, *instances: Dataset, answers: Sequence[object] = ()) -> Workers:
    """Send documents, close their series, and have them read; images get other answers."""
    with running_receiver(resources, sop_classes=(*CT_CLASSES, *DOCUMENT_CLASSES)) as reception:
        assert send(reception.address, instances) == [0x0000] * len(instances)
        reception.index.wait_until_written()
    workers = Workers(*answers)
    running = dispatcher(resources, workers, wanted="all")
    with resources.sessions.begin() as session:
        for series in receiving(session):
            close(session, series, START)
    for _ in instances:
        running.dispatch()
    return workers


def line(resources: Resources, uid: str) -> SeriesLine:
    with resources.sessions() as session:
        lines = overview(session).series
    return next(each for each in lines if each.series_instance_uid == uid)


def said(resources: Resources) -> list[str]:
    """Answers beside the result of the CT series."""
    return [answer_words(answer, 1) for answer in line(resources, "2.25.2").answers]


def counts(resources: Resources) -> Mapping[str, int]:
    with resources.sessions() as session:
        return answer_counts(session, START).standing


def test_a_rejection_note_is_kept_as_an_answer_and_never_taken_for_a_ct(
    resources: Resources,
) -> None:
    note = documents.rejection([HEATMAP])
    workers = receive(resources, note)

    seen = line(resources, note.SeriesInstanceUID)
    assert (seen.state, seen.reason, seen.deliveries) == ("feedback", "", {})
    assert (workers.requests, workers.notice_requests) == ([], [])
    assert said(resources) == ["result rejected by a reader: quality"]
    (answer,) = line(resources, "2.25.2").answers
    assert (answer.observer, answer.role, answer.calling_ae) == (
        documents.READER,
        "Physician",
        "PACS",
    )
    assert counts(resources) == {"rejected": 1}


def test_an_assessment_answers_finding_by_finding(resources: Resources) -> None:
    ours = derived_uid("k1", "tracking", "opacity-2")
    report = documents.assessment(
        [HEATMAP],
        documents.decision("accept"),
        documents.of_finding(ours, documents.decision("reject"), documents.reason("Hilum")),
        documents.of_finding("2.25.55", documents.decision("modify", meaning="Modified")),
    )
    receive(resources, report)
    assert sorted(said(resources)) == [
        "a finding that is not known modified by a reader",
        "opacity-2 rejected by a reader: Hilum",
        "result accepted by a reader",
    ]


def test_an_assessment_that_names_a_finding_alone_is_about_its_result(
    resources: Resources,
) -> None:
    ours = derived_uid("k1", "tracking", "opacity-1")
    report = documents.assessment(
        [STRANGER], documents.of_finding(ours, documents.decision("reject"))
    )
    receive(resources, report)
    assert said(resources) == ["opacity-1 rejected by a reader"]


def test_an_amendment_supersedes_and_the_same_document_counts_once(resources: Resources) -> None:
    first = documents.assessment([HEATMAP], documents.decision("reject"))
    second = documents.assessment(
        [HEATMAP], documents.decision("accept"), reader="Zweit^Zoe", predecessors=[first]
    )
    receive(resources, second)
    receive(resources, first)
    receive(resources, first)
    assert said(resources) == ["result accepted by a reader"]
    assert counts(resources) == {"accepted": 1}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (documents.rejection([STRANGER]), "not-our-result"),
        (documents.rejection([HEATMAP], title=documents.OF_INTEREST), "no-assessment"),
        (
            documents.assessment([HEATMAP], documents.comment("x"), title="Chest CT Report"),
            "no-assessment",
        ),
    ],
)
def test_other_documents_end_as_unsuitable_without_a_notice(
    resources: Resources, document: Dataset, reason: str
) -> None:
    workers = receive(resources, document)
    seen = line(resources, document.SeriesInstanceUID)
    assert (seen.state, seen.reason.partition(":")[0]) == ("unsuitable", reason)
    assert (workers.notice_requests, said(resources)) == ([], [])
    with resources.sessions() as session:
        assert overview(session).quarantine == ()


def test_an_own_document_come_back_is_no_answer(resources: Resources) -> None:
    note = documents.rejection([HEATMAP], uid=UIDS[1])
    receive(resources, note)
    assert line(resources, note.SeriesInstanceUID).reason.startswith("own-result: ")
    assert counts(resources) == {}


def test_an_own_document_that_the_database_has_forgotten_is_no_answer(
    resources: Resources,
) -> None:
    note = documents.rejection([HEATMAP])
    builder = dispatcher(resources, Workers()).request_builder
    note.InstanceCreatorUID = builder.config.equipment.station_uid
    receive(resources, note)
    assert line(resources, note.SeriesInstanceUID).reason.startswith("own-result: ")


@contextmanager
def refusing(resources: Resources) -> Iterator[tuple[str, int]]:
    with running_receiver(resources, sop_classes=CT_CLASSES) as reception:
        yield reception.address
        refused = [refusal.what for refusal in reception.overview().refusals]
        assert refused == ["Key Object Selection Document Storage"]


def test_documents_are_refused_where_the_site_does_not_want_them(resources: Resources) -> None:
    with refusing(resources) as address:
        assert send(address, [documents.rejection([HEATMAP])]) == []


def test_a_document_sent_again_with_other_bytes_counts_once(resources: Resources) -> None:
    note = documents.rejection([HEATMAP])
    receive(resources, note)
    note.SeriesDescription = "again"
    receive(resources, note)
    assert line(resources, note.SeriesInstanceUID).generation == 2
    assert counts(resources) == {"rejected": 1}


def test_answers_are_listed_and_written_as_cases(resources: Resources, tmp_path: Path) -> None:
    receive(resources, documents.rejection([HEATMAP]))
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\ndatabase_url = {database_url(tmp_path)}\n")

    listed = CliRunner().invoke(app, ["feedback", "--config", str(ini)])
    assert listed.exit_code == 0, listed.output
    assert "2.25.2; result of revision 1 rejected by a reader: quality" in listed.output
    assert f"by {documents.READER} (Physician) through PACS; Lung is cut off" in listed.output

    csv = tmp_path / "cases.csv"
    written = CliRunner().invoke(app, ["feedback", "--csv", str(csv), "--config", str(ini)])
    assert written.output == f"1 row in {csv}\n"
    assert documents.READER not in csv.read_text()

    shown = CliRunner().invoke(app, ["status", "--config", str(ini)])
    assert "result rejected by a reader: quality" in shown.output


def in_the_series_of_the_ct() -> tuple[Dataset, ...]:
    ours = derived_uid("k1", "tracking", "opacity-2")
    note = documents.rejection([HEATMAP])
    report = documents.assessment(
        [HEATMAP], documents.of_finding(ours, documents.decision("reject")), reader="Zweit^Zoe"
    )
    for document in (note, report):
        document.SeriesInstanceUID = "2.25.2"
    return note, report


def test_documents_in_the_series_of_a_ct_are_read_and_leave_it_as_it_is(
    resources: Resources,
) -> None:
    before = line(resources, "2.25.2")
    workers = receive(resources, *in_the_series_of_the_ct())

    assert sorted(said(resources)) == [
        "opacity-2 rejected by a reader",
        "result rejected by a reader: quality",
    ]
    assert replace(line(resources, "2.25.2"), answers=()) == before
    apart = line(resources, documents_beside("2.25.2"))
    assert (apart.state, apart.instances, apart.calling_ae) == ("feedback", 2, "PACS")
    assert (workers.requests, workers.notice_requests) == ([], [])


def test_documents_that_come_before_the_images_of_their_series_make_room_for_them(
    resources: Resources,
) -> None:
    note, report = in_the_series_of_the_ct()
    note.SeriesInstanceUID = report.SeriesInstanceUID = "2.25.20"
    receive(resources, note)
    image = replace(CT, sop_instance_uid="2.25.21", series_instance_uid="2.25.20", path="x/2.dcm")
    with resources.sessions.begin() as session:
        record_instance(session, image, START)
    receive(resources, note, report, answers=[Unchanged()])

    seen = line(resources, "2.25.20")
    assert (seen.instances, seen.calling_ae, seen.modality) == (1, "SCANNER", "CT")
    assert line(resources, documents_beside("2.25.20")).instances == 2
    assert len(said(resources)) == 2


@pytest.mark.parametrize(
    ("attribute", "value", "other"),
    [
        ("PatientID", "P-2", "patient"),
        ("PatientBirthDate", "19610101", "patient"),
        ("StudyInstanceUID", "2.25.33", "study"),
    ],
)
def test_a_document_of_another_patient_or_study_is_shown_and_not_counted(
    resources: Resources, tmp_path: Path, attribute: str, value: str, other: str
) -> None:
    of_the_patient(resources)
    note = documents.rejection([HEATMAP], title=documents.SAFETY)
    setattr(note, attribute, value)
    receive(resources, note)

    reason = line(resources, note.SeriesInstanceUID).reason
    assert reason.startswith("other-patient-or-study: ")
    assert said(resources) == [
        "result rejected by a reader: patient safety"
        f" (not counted: the document is of another {other})"
    ]
    with resources.sessions() as session:
        counted = answer_counts(session, START)
        answers = answers_to(session)
    assert (counted.standing, counted.mismatched) == ({}, 1)
    assert case_rows(answers, {}, {}, resources.identity_key) == []
    receive(resources, documents.rejection([HEATMAP]))
    assert counts(resources) == {"rejected": 1}


def of_the_patient(resources: Resources) -> None:
    """Receive the CT again as of the patient that documents name."""
    known, key = documents.named("1", "1"), resources.identity_key
    facts = replace(
        CT,
        digest="1" * 64,
        path="incoming/00/y.dcm",
        patient_digest=key.digest(known.PatientID),
        birth_digest=key.digest(known.PatientBirthDate),
    )
    with resources.sessions.begin() as session:
        record_instance(session, facts, START)
        for series in receiving(session):
            close(session, series, START)
    dispatcher(resources, Workers(Unchanged())).dispatch()


@pytest.mark.parametrize(
    ("kinds", "words"),
    [(["report"], "report"), (["report", "heatmap"], "heatmap and report"), (None, "result")],
)
def test_an_answer_says_to_which_objects_it_is(
    resources: Resources, kinds: list[str] | None, words: str
) -> None:
    with resources.sessions.begin() as session:
        for number, kind in enumerate(("report", "summary"), start=1):
            session.add(
                ResultObject(
                    sop_instance_uid=f"2.25.20{number}",
                    result_key="k1",
                    kind=kind,
                    sop_class_uid="1.2",
                    series_instance_uid=f"2.25.30{number}",
                    transfer_syntax_uid="1.2",
                    path=kind,
                    position=9 + number,
                )
            )
    objects = {
        "heatmap": HEATMAP,
        "report": documents.named("2.25.201", "2.25.301"),
        "summary": documents.named("2.25.202", "2.25.302"),
    }
    receive(resources, documents.rejection([objects[kind] for kind in kinds or objects]))
    assert said(resources) == [f"{words} rejected by a reader: quality"]


IMAGE = documents.named("2.25.1", "2.25.2", CT.sop_class_uid)


def test_images_that_a_note_rejects_are_not_analysed_until_it_is_revoked(
    resources: Resources,
) -> None:
    note = documents.rejection([IMAGE])
    receive(resources, note)
    assert line(resources, note.SeriesInstanceUID).state == "feedback"
    assert said(resources) == ["images rejected by a reader: quality"]
    assert line(resources, "2.25.2").state == "encoded"

    with resources.sessions.begin() as session:
        reprocess(session, "2.25.2", START)
    workers = Workers(Unchanged())
    dispatcher(resources, workers, wanted="all").dispatch()
    seen = line(resources, "2.25.2")
    assert (seen.state, seen.reason.partition(":")[0]) == ("unsuitable", "images-rejected")
    assert (workers.requests, workers.notice_requests) == ([], [])

    receive(resources, documents.rejection([IMAGE], title=documents.REVOKED))
    with resources.sessions.begin() as session:
        reprocess(session, "2.25.2", START)
    dispatcher(resources, workers).dispatch()
    assert line(resources, "2.25.2").state == "encoded"


def test_images_whose_time_is_over_are_analysed(resources: Resources) -> None:
    receive(resources, documents.rejection([IMAGE], title=documents.EXPIRED))
    with resources.sessions() as session:
        assert not are_images_rejected(session, "2.25.2")
    assert said(resources) == ["images removed from the archive: retention time over"]
