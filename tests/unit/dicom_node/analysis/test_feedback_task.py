"""Whatever is sent as a document, a worker comes to an end with it."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.analysis.worker.feedback_task import DOCUMENT_BYTES, read_feedback
from dicom_node.analysis.worker.messages import Answered, FeedbackRequest, SourceFile, Unsuitable
from dicom_node.errors import AnalysisFault
from tests.support.samples import feedback_documents as documents

NOTE = documents.rejection([documents.named("2.25.101", "2.25.9")])


def bytes_of(document: Dataset) -> bytes:
    file = BytesIO()
    dcmwrite(file, document, enforce_file_format=True)
    return file.getvalue()


def read(folder: Path, *files: bytes) -> Answered | Unsuitable:
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    return read_feedback(
        FeedbackRequest(
            series_instance_uid="2.25.1",
            files=tuple(SourceFile(path=path, sop_instance_uid="", digest="") for path in paths),
            own_uids=frozenset({"2.25.99"}),
        )
    )


def test_documents_without_an_answer_are_left_out(tmp_path: Path) -> None:
    other = documents.rejection([NOTE], title=documents.OF_INTEREST)
    read_both = read(tmp_path, bytes_of(other), bytes_of(NOTE))
    assert isinstance(read_both, Answered)
    assert [one.sop_instance_uid for one in read_both.documents] == [NOTE.SOPInstanceUID]


def test_a_deflated_document_is_read(tmp_path: Path) -> None:
    note = documents.rejection([documents.named("2.25.101", "2.25.9")])
    note.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert isinstance(read(tmp_path, bytes_of(note)), Answered)


def test_a_document_is_read_up_to_a_length(tmp_path: Path) -> None:
    note = documents.rejection([documents.named("2.25.101", "2.25.9")])
    note.TextValue = "x" * DOCUMENT_BYTES
    unsuitable = read(tmp_path, bytes_of(note))
    assert isinstance(unsuitable, Unsuitable)
    assert unsuitable.code == "no-assessment"


def test_a_content_tree_is_read_down_to_a_depth(tmp_path: Path) -> None:
    report = documents.assessment([NOTE], documents.decision("accept"))
    inner = Dataset()
    inner.ValueType = "CONTAINER"
    for _ in range(60):
        outer = Dataset()
        outer.ValueType, outer.ContentSequence = "CONTAINER", [inner]
        inner = outer
    report.ContentSequence = [*report.ContentSequence, inner]
    unsuitable = read(tmp_path, bytes_of(report))
    assert isinstance(unsuitable, Unsuitable)
    assert unsuitable.code == "no-assessment"


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells what it puts up with
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_documents_end_the_task(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes are changed, cut off, or put in, wherever."""
    damaged = bytearray(bytes_of(NOTE))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(132, len(damaged) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                damaged[at] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[max(at, 200) :]
                break
            case _:
                damaged[at:at] = data.draw(st.binary(max_size=8))
    assert isinstance(read(tmp_path, bytes(damaged)), Answered | Unsuitable)


def test_a_file_that_is_not_there_is_a_fault_of_the_worker(tmp_path: Path) -> None:
    file = SourceFile(path=tmp_path / "gone.dcm", sop_instance_uid="", digest="")
    request = FeedbackRequest(series_instance_uid="2.25.1", files=(file,), own_uids=frozenset())
    with pytest.raises(AnalysisFault) as raised:
        read_feedback(request)
    assert raised.value.of_the_worker
