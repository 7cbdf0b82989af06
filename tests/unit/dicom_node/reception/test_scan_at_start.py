"""The scan at the start returns when every row of what it found is in the database."""

import io
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import func, select
from structlog.testing import capture_logs

from dicom_node.reception.index_writer import BATCH
from dicom_node.reception.ingest import InstanceIngest
from storage.database.schema import Instance
from tests.support.reception import indexing, open_resources

FILES = BATCH + 100  #: more than one transaction takes


def header(number: int) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.1", "1.2.2", "CT"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_no_row_is_missing_when_the_scan_returns(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    for number in range(FILES):
        resources.folder.keep([header(number)], name_from=str(number))

    with indexing(resources) as index:
        assert InstanceIngest(resources, index).scan() == FILES
        with resources.sessions() as session:
            assert session.scalar(select(func.count()).select_from(Instance)) == FILES


def test_what_cannot_be_read_is_logged_and_holds_up_nothing_else(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    for number in range(3):
        resources.folder.keep([header(number)], name_from=str(number))
    resources.folder.locate("incoming/00/loop.dcm").symlink_to("loop.dcm")
    resources.folder.locate("incoming/01").rmdir()
    resources.folder.locate("incoming/01").symlink_to("01")

    with capture_logs() as logged, indexing(resources) as index:
        assert InstanceIngest(resources, index).scan() == 3

    unreadable = [(one["path"], one["reason"]) for one in logged if "reason" in one]
    assert unreadable == [
        ("incoming/00/loop.dcm", "Too many levels of symbolic links"),
        ("incoming/01", "Too many levels of symbolic links"),
    ]
