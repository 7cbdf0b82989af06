"""A sink that keeps no files: it remembers what came, and who was turned away."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import SUCCESS
from dicom_node.reception.refusals import Refusal
from tests.support.node_process import wait_until


@dataclass
class RememberingSink:
    kept: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def keep(self, received: ReceivedInstance) -> int:
        for _ in received.body:
            pass
        self.kept.append(received.sop_instance_uid)
        return SUCCESS

    def record_refusal(self, refusal: Refusal) -> None:
        self.refused.append(refusal)

    def latest(self) -> Refusal:
        wait_until(lambda: bool(self.refused), seconds=20, what="a refusal")
        (one,) = self.refused
        self.refused.clear()
        return one
