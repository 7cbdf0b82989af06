"""Refusals and quarantine of the ingest stay bounded, whatever is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import select

from dicom_node.network.received_instance import received_instance
from dicom_node.network.status_codes import CANNOT_UNDERSTAND
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
            received_instance(
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
