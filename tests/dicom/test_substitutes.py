"""Destinations that decline a class: substitutes stand for it, or the series fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import Delivery, ResultObject
from storage.database.sessions import Sessions
from storage.delivery.capabilities import capabilities
from storage.delivery.outbox import keep_results, reuse_result
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.overview import overview
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, receiving, reprocess
from storage.states import DeliveryState
from tests.support.databases import migrated_database

pytestmark = pytest.mark.database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLASSES = {
    "segmentation": SegmentationStorage,
    "report": Comprehensive3DSRStorage,
    "text-report": EnhancedSRStorage,
    "summary": SecondaryCaptureImageStorage,
    "heatmap": SecondaryCaptureImageStorage,
}
ALL = tuple(set(CLASSES.values()))
BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=60, give_up_after=timedelta(hours=1))


def result_file(uid: str, sop_class: str) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    return part10(ds)


def ticket_of(session: Session) -> SeriesTicket:
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """One analysed series whose results, one of each kind, are due at the destination PACS."""
    database = migrated_database(tmp_path)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    resources = Resources(sessions=sessions, folder=StorageFolder(tmp_path, 0), clock=lambda: NOW)
    draw_installation(tmp_path)
    uids = {kind: f"2.25.{number}" for number, kind in enumerate(CLASSES, start=100)}
    files = {f"{uid}.dcm": result_file(uid, CLASSES[kind]) for kind, uid in uids.items()}
    folder = resources.folder.keep_result("k1", files)
    result = NewResult(key="k1", model="m", score=0.5, positive=True, summary="{}", folder=folder)
    objects = [
        NewObject(
            sop_instance_uid=uid,
            kind=kind,
            sop_class_uid=CLASSES[kind],
            series_instance_uid="2.25.9",
            transfer_syntax_uid=str(ExplicitVRLittleEndian),
            path=f"{folder}/{uid}.dcm",
        )
        for kind, uid in uids.items()
    ]
    with resources.sessions.begin() as session:
        record_instance(session, CT, NOW)
        close(session, receiving(session)[0], NOW)
        keep_results(session, ticket_of(session), result, objects, destinations=["PACS"], now=NOW)
    yield resources
    database.dispose()


CT = InstanceFacts(
    sop_instance_uid="2.25.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="2.25.2",
    study_instance_uid="2.25.3",
    transfer_syntax_uid=str(ExplicitVRLittleEndian),
    modality="CT",
    calling_ae="SCANNER",
    path="incoming/00/x.dcm",
    digest="0" * 64,
    bytes=1,
)


def deliver(resources: Resources, folder: Path, *accepts: str) -> None:
    with StandInPacs(folder / "pacs", accepts=accepts) as pacs:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
        DeliveryWorker(
            "PACS",
            DicomSender(peer=peer, calling_ae="AINODE"),
            backoff=BACKOFF,
            resources=resources,
        ).run_once()


def ended(resources: Resources) -> tuple[str, dict[str, str]]:
    """State of the series, and of the delivery of each kind."""
    with resources.sessions() as session:
        rows = session.execute(select(ResultObject.kind, Delivery.state).join(Delivery))
        return str(overview(session).series[0].state), {kind: str(state) for kind, state in rows}


def reason(resources: Resources, kind: str) -> str:
    with resources.sessions() as session:
        found = select(Delivery.reason).join(ResultObject).where(ResultObject.kind == kind)
        return session.scalars(found).one()


def test_the_text_report_stands_for_the_measurements(resources: Resources, tmp_path: Path) -> None:
    deliver(resources, tmp_path, *set(ALL) - {Comprehensive3DSRStorage})

    state, deliveries = ended(resources)
    assert state == "delivered"
    assert deliveries.pop("report") == "replaced"
    assert set(deliveries.values()) == {"accepted"}
    with resources.sessions() as session:
        assert overview(session).series[0].deliveries[DeliveryState.REPLACED] == 1
        known = {
            capability.sop_class_uid: capability.is_accepted
            for capability in capabilities(session, "PACS")
        }
    assert known[Comprehensive3DSRStorage] is False
    assert known[EnhancedSRStorage] is True
    assert reason(resources, "report") == (
        "the destination does not accept Comprehensive 3D SR Storage in Explicit VR Little Endian;"
        " the text report says it"
    )


def test_the_summary_stands_for_all_where_only_pictures_are_taken(
    resources: Resources, tmp_path: Path
) -> None:
    deliver(resources, tmp_path, SecondaryCaptureImageStorage)

    assert ended(resources) == (
        "delivered",
        {
            "segmentation": "replaced",
            "report": "replaced",
            "text-report": "replaced",
            "summary": "accepted",
            "heatmap": "accepted",
        },
    )
    assert reason(resources, "segmentation").endswith("; the heatmap says it")
    assert reason(resources, "report").endswith("; the summary says it")


def test_where_nothing_carries_the_message_a_person_is_told(
    resources: Resources, tmp_path: Path
) -> None:
    deliver(resources, tmp_path, SegmentationStorage)

    state, deliveries = ended(resources)
    assert state == "failed"
    assert deliveries["report"] == "refused"
    assert deliveries["heatmap"] == "replaced"
    with resources.sessions() as session:
        assert "PACS refused 1 object: the destination" in overview(session).series[0].reason


def test_where_nothing_is_taken_everything_is_tried_again(
    resources: Resources, tmp_path: Path
) -> None:
    deliver(resources, tmp_path)

    state, deliveries = ended(resources)
    assert (state, set(deliveries.values())) == ("encoded", {"pending"})


def test_what_was_replaced_is_sent_when_the_destination_has_learnt(
    resources: Resources, tmp_path: Path
) -> None:
    deliver(resources, tmp_path, SecondaryCaptureImageStorage)
    with resources.sessions.begin() as session:
        reprocess(session, "2.25.2", NOW)
        reuse_result(session, ticket_of(session), "k1", ["PACS"], NOW)
    deliver(resources, tmp_path, *ALL)

    state, deliveries = ended(resources)
    assert (state, set(deliveries.values())) == ("delivered", {"accepted"})
