"""Handle every received instance, by C-STORE or STOW-RS: keep it, and give the status to answer."""

from __future__ import annotations

from typing import Protocol

from dicom_node.errors import AssociationBroken
from dicom_node.logs import log
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import PROCESSING_FAILURE
from dicom_node.reception.refusals import Refusal


class InstanceSink(Protocol):
    """Keeps received instances, and records refusals."""

    def keep(self, received: ReceivedInstance) -> int:
        """Keep one instance durably; return the C-STORE status."""
        ...

    def record_refusal(self, refusal: Refusal) -> None:
        """Record that a caller was turned away, or something refused before it was sent."""
        ...


def store_and_answer(sink: InstanceSink, instance: ReceivedInstance) -> int:
    """Have an instance kept; return the status to answer with, whatever happens.

    Raises
    ------
    AssociationBroken
        If the data set ended before its end.
    """
    try:
        return sink.keep(instance)
    except AssociationBroken:
        raise
    except Exception:  # noqa: BLE001  # thread border: the sender must hear that it was not kept
        log.exception("job_failed", job="keep", calling_ae=instance.calling_ae)
        return PROCESSING_FAILURE
