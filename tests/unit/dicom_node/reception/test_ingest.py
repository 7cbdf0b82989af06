"""Refusals and quarantine of the ingest stay bounded, whatever is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
)
from sqlalchemy import select

from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH, SUCCESS
from dicom_node.reception import ingest
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from storage.database.schema import Quarantine, Refusal
from tests.support.reception import open_resources


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns of what is odd here
def test_a_full_quarantine_takes_no_more_and_says_so(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    index = IndexWriter(resources.sessions)
    sink = InstanceIngest(resources, index)
    for number in range(ingest.MAXIMUM_QUARANTINED - 1):
        (tmp_path / "quarantine" / f"{number}.dcm").touch()

    def rubbish(number: int) -> int:
        return sink.keep(
            ReceivedInstance(
                sop_class_uid=CTImageStorage,
                sop_instance_uid=f"1.2.{number}",
                transfer_syntax_uid=ExplicitVRLittleEndian,
                calling_ae="CT1",
                body=[b"no data set"],
            )
        )

    assert [rubbish(number) for number in range(3)] == [CANNOT_UNDERSTAND] * 3

    assert resources.folder.quarantined() == ingest.MAXIMUM_QUARANTINED
    assert list((tmp_path / "incoming").rglob("*.dcm")) == []
    sink.refusals.flush()
    index.start()
    index.stop()
    with resources.sessions() as session:
        assert len(list(session.scalars(select(Quarantine)))) == 1
        (refusal,) = session.scalars(select(Refusal))
    assert (refusal.count, refusal.reason) == (2, ingest.QUARANTINE_FULL)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("SOPInstanceUID", "1.2.999", DATA_SET_DOES_NOT_MATCH),
        ("SOPClassUID", MRImageStorage, DATA_SET_DOES_NOT_MATCH),
        ("SOPInstanceUID", "1.2.3", SUCCESS),
        ("SOPInstanceUID", "", SUCCESS),
    ],
)
def test_an_instance_that_is_another_than_its_request_says_is_not_filed_under_that_name(
    tmp_path: Path, keyword: str, value: str, status: int, syntax: str
) -> None:
    """PS3.4 Table B.2-1, A9xx; on the quick way and by pydicom, and by the scan at the start."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CTImageStorage, "1.2.3", "CT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PixelData = "1.2.4", "1.2.5", b"\0\0"
    ds["PixelData"].VR = "OW"
    setattr(ds, keyword, value)
    body = DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = syntax == ExplicitVRLittleEndian, False
    write_dataset(body, ds)
    instance = ReceivedInstance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=syntax,
        calling_ae="CT1",
        body=[body.getvalue()],
    )
    resources = open_resources(tmp_path)
    sink = InstanceIngest(resources, IndexWriter(resources.sessions))
    assert sink.keep(instance) == status
    is_kept = status == SUCCESS
    assert resources.folder.quarantined() == (not is_kept)
    left = resources.folder.keep([body.getvalue()], header=instance.header, name_from="crash")
    sink._index_file(left.path)
    assert resources.folder.locate(left.path).exists() == is_kept
