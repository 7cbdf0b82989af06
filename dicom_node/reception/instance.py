"""What a received instance is, whichever way it came in, and what is answered for it."""

from __future__ import annotations

from typing import Protocol

from dicom_node.errors import ReceptionBroken
from dicom_node.logs import log
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status import PROCESSING_FAILURE


class InstanceSink(Protocol):
    """Where received instances are kept, and what was refused is noted."""

    def keep(self, received: ReceivedInstance) -> int:
        """Keep one instance durably; return the C-STORE status."""
        ...

    def record_refusal(self, *, calling_ae: str, what: str, reason: str) -> None:
        """Note that something was refused before it could be sent."""
        ...


def store_and_answer(sink: InstanceSink, instance: ReceivedInstance) -> int:
    """Have an instance kept; the status to answer with, whatever happens.

    Raises
    ------
    ReceptionBroken
        If the data set has no end.
    """
    try:
        return sink.keep(instance)
    except ReceptionBroken:
        raise
    except Exception:  # noqa: BLE001  # thread border: the sender must hear that it was not kept
        log.exception("job_failed", job="keep", calling_ae=instance.calling_ae)
        return PROCESSING_FAILURE
