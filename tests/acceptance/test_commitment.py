"""Storage commitment with Orthanc, as SCU and as SCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.reader import load
from storage.database.engine import open_database
from storage.database.schema import Delivery
from storage.states import DeliveryState
from tests.acceptance.support.orthanc import SECONDS, Orthanc, poll, push, upload
from tests.support.node_process import NodeProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]
COMMITTED = "verify = commitment\n"


@pytest.fixture
def node(
    orthanc: Orthanc, node_port: int, make_node: Callable[..., NodeProcess]
) -> Iterator[NodeProcess]:
    running = make_node(orthanc.dicom_port, port=node_port, quiet=3)
    ini = running.ini.read_text().replace("ae_title = PACS", "ae_title = ORTHANC") + COMMITTED
    peers = f"commitment_peers = ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    running.ini.write_text(ini.replace("bind = 127.0.0.1", f"bind = 127.0.0.1\n{peers}"))
    running.start()
    yield running
    assert running.stop() == 0, running.log()


def answered(orthanc: Orthanc, transaction: str) -> dict[str, Any]:
    """What the node says of a request that Orthanc made."""

    def report() -> dict[str, Any] | None:
        found: dict[str, Any] = orthanc.get(f"/storage-commitment/{transaction}")
        return None if found["Status"] == "Pending" else found

    found: dict[str, Any] = poll(report, seconds=30, what="the node's report")
    return found


def test_results_are_delivered_when_the_pacs_has_committed(
    orthanc: Orthanc, node: NodeProcess, chest: Path
) -> None:
    push(orthanc, upload(orthanc, chest))
    node.wait_for_state("delivered", seconds=SECONDS)

    database = open_database(load(node.ini).database_url)
    with Session(database) as session:
        states = set(session.scalars(select(Delivery.state)))
    database.dispose()
    assert states == {DeliveryState.COMMITTED}


def test_the_pacs_asks_us_to_commit(orthanc: Orthanc, node: NodeProcess, chest: Path) -> None:
    study_uid = upload(orthanc, chest)
    (study,) = orthanc.find(StudyInstanceUID=study_uid)

    push_with_commitment = {"Resources": [study], "Synchronous": True, "StorageCommitment": True}
    job = orthanc.post("/modalities/ainode/store", push_with_commitment)
    report = answered(orthanc, job["StorageCommitmentTransactionUID"])

    assert (report["Status"], report["Failures"]) == ("Success", [])
    assert len(report["Success"]) == len(list(chest.glob("*.dcm")))


def test_what_we_never_got_is_not_committed_to(
    orthanc: Orthanc, node: NodeProcess, chest: Path
) -> None:
    first = dcmread(next(chest.glob("*.dcm")), stop_before_pixels=True)
    absent = [str(first.SOPClassUID), "1.2.3.4"]

    asked = orthanc.post("/modalities/ainode/storage-commitment", {"DicomInstances": [absent]})
    report = answered(orthanc, asked["ID"])

    assert report["Status"] == "Failure"
    (failure,) = report["Failures"]
    assert (failure["SOPInstanceUID"], failure["FailureReason"]) == ("1.2.3.4", 0x112)
    assert node.overview().series == ()
