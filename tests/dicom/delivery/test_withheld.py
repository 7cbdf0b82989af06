"""Results that are withheld: what is being sent is put back at once, and only notices leave."""

from collections.abc import Generator, Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.worker import DeliveryWorker, Route
from storage.database.schema import ResultObject
from storage.delivery.capabilities import Capability
from tests.support.results_due import UIDS, Hands, standing, store_with_results

pytestmark = pytest.mark.database
BACKOFF = Backoff(first_seconds=60, factor=2, max_seconds=600, give_up_after=timedelta(hours=1))


class Sender:
    """Takes everything, and has results withheld after the first object."""

    worker: DeliveryWorker

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        for file in files:
            self.sent.append(file.path.stem)
            withhold(self, yes=True)
            yield file, Outcome(verdict=Verdict.ACCEPTED)

    def echo(self) -> Outcome:
        raise NotImplementedError

    def probe(self) -> tuple[Capability, ...] | None:
        return None


def withhold(sender: Sender, *, yes: bool) -> None:
    sender.worker.take(Route(sender=sender, backoff=BACKOFF, notices_only=yes))


def test_results_wait_where_they_are_withheld_and_leave_in_order_after_it(tmp_path: Path) -> None:
    resources, sender = store_with_results(tmp_path, Hands()), Sender()
    sender.worker = DeliveryWorker("PACS", sender, backoff=BACKOFF, resources=resources)

    sender.worker.run_once()
    sender.worker.run_once()

    assert sender.sent == list(UIDS[:1])
    assert standing(resources)[1] == ["accepted", "pending", "pending"]
    with resources.sessions.begin() as session:
        last = ResultObject.sop_instance_uid == UIDS[2]
        session.execute(update(ResultObject).where(last).values(kind="notice"))
    sender.worker.run_once()
    assert sender.sent == [UIDS[0], UIDS[2]]

    withhold(sender, yes=False)
    sender.worker.run_once()

    assert sender.sent == [UIDS[0], UIDS[2], UIDS[1]]
    assert standing(resources)[0] == "delivered"
    resources.close()
