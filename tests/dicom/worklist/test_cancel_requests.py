"""A manager reports over a real association that somebody wants a work item canceled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, build_role

from config.settings import Settings
from config.worklist import WorklistSettings
from dicom_node.assembly.reception import receiver_of
from dicom_node.assembly.worklist import cancel_requests_of
from dicom_node.network.sop_classes import STORAGE_COMMITMENT, WORKLIST_EVENT
from dicom_node.network.storage_commitment import WELL_KNOWN_INSTANCE
from dicom_node.node.reception import report_handler
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from storage.delivery.work_items import WorkItemInput, open_work_items, record_claim
from tests.support.peers.worklist_manager import WorklistManager, item
from tests.support.reception import indexing, open_resources
from tests.support.results_due import CT, START, STUDY
from tests.support.samples.worklist_site import ITEM, OTHER

LIST = WorklistSettings(manager="MANAGER@127.0.0.1:104", station_name="AINODE")
INPUT = WorkItemInput(study_instance_uid=STUDY, series_instance_uid=CT.series_instance_uid)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = open_resources(tmp_path)
    with found.sessions.begin() as session:
        record_claim(session, ITEM, "2.25.3", [INPUT], START)
    yield found
    found.close()


@pytest.fixture
def port(resources: Resources) -> Iterator[int]:
    """Port of a node that has a worklist manager."""
    settings = Settings(worklist=LIST)
    receiver = receiver_of(settings)
    with indexing(resources) as index:
        services = [report_handler(cancel_requests_of(settings, resources), resources)]
        ingest = InstanceIngest(resources, index)
        yield receiver.listen(("127.0.0.1", 0), ingest, services=services)[1]
        receiver.drain(seconds=5)


def is_requested(resources: Resources) -> bool:
    with resources.sessions.reading() as session:
        (row,) = open_work_items(session)
    return row.cancel_requested_at is not None


def test_a_request_of_the_manager_is_entered(resources: Resources, port: int) -> None:
    assert WorklistManager().request_cancellation(ITEM, port) == 0x0000
    assert is_requested(resources)


@pytest.mark.parametrize(
    ("uid", "calling", "event_type", "status"),
    [
        (OTHER, "MANAGER", 2, 0x0112),  # not ours
        (ITEM, "STRANGER", 2, 0x0124),
        (ITEM, "MANAGER", 3, 0x0000),  # of progress: it changes nothing
    ],
)
def test_nothing_else_cancels_it(
    resources: Resources, port: int, uid: str, calling: str, event_type: int, status: int
) -> None:
    answer = WorklistManager().request_cancellation(
        uid, port, calling=calling, event_type=event_type
    )

    assert answer == status
    assert not is_requested(resources)


def test_reports_of_storage_commitment_go_their_own_way(port: int) -> None:
    ae = AE("PACS")
    ae.add_requested_context(STORAGE_COMMITMENT)
    assoc = ae.associate(
        "127.0.0.1",
        port,
        ae_title="AINODE",
        ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)],
    )
    answer, _ = assoc.send_n_event_report(
        item(TransactionUID="2.25.77"), 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
    )
    assoc.release()

    assert answer.Status == 0x0000


def test_without_a_manager_there_is_no_such_service(resources: Resources) -> None:
    receiver = receiver_of(Settings())
    with indexing(resources) as index:
        address = receiver.listen(("127.0.0.1", 0), InstanceIngest(resources, index))
        ae = AE("MANAGER")
        ae.add_requested_context(WORKLIST_EVENT)
        assoc = ae.associate(*address, ae_title="AINODE")
        receiver.drain(seconds=5)

    assert [one.abstract_syntax for one in assoc.rejected_contexts] == [WORKLIST_EVENT]
    assert cancel_requests_of(Settings(), resources) is None
