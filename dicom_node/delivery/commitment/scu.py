"""Request commitment by N-ACTION (Storage Commitment SCU, PS3.4 Annex J), and receive the report.

The report comes on the association of the request, on one that the destination opens to our port,
or never.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import evt
from pynetdicom.events import Event

from dicom_node.delivery.commitment.request import CommitmentRequester, Objects, record_report
from dicom_node.delivery.proof import evidence
from dicom_node.logs import log
from dicom_node.network.association import Peer, associate
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.status_codes import INVALID_ARGUMENT_VALUE, PROCESSING_FAILURE, SUCCESS
from dicom_node.network.storage_commitment import REQUEST, WELL_KNOWN_INSTANCE, readable, reference
from dicom_node.resources import Resources
from storage.delivery.commitments import Report

AT_ONCE = timedelta(0)
LINGER_SECONDS = 3.0

RecordReport = Callable[[Report], int]  #: enters a report; returns the status to answer with


class CommitmentScu(CommitmentRequester):
    """Requests the commitment of one destination by N-ACTION.

    Parameters
    ----------
    linger_seconds
        Longest wait for the report on the association of the request.
    """

    means = "storage commitment"
    first_after = AT_ONCE

    def __init__(
        self,
        name: str,
        peer: Peer,
        *,
        calling_ae: str,
        again: timedelta,
        resources: Resources,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        super().__init__(name, peer, calling_ae=calling_ae, again=again, resources=resources)
        self._linger_seconds = linger_seconds

    def _ask(self, transaction_uid: str, due: Objects) -> str:
        reason = request(
            self._peer,
            action_information(transaction_uid, due),
            calling_ae=self._calling_ae,
            linger_seconds=self._linger_seconds,
            record=partial(record_report, resources=self._resources),
        )
        if not reason:
            log.info("commitment_requested", destination=self.name, objects=len(due))
        return reason


def request(
    peer: Peer,
    information: Dataset,
    *,
    calling_ae: str,
    linger_seconds: float,
    record: RecordReport,
) -> str:
    """Request commitment by N-ACTION; wait a little for the report on the same association.

    Returns
    -------
    str
        Why the request was not accepted; else empty.
    """
    reported = threading.Event()

    def report(event: Event) -> tuple[int, None]:
        status = handle_report(event, record)
        reported.set()
        return status

    assoc, trouble = associate(
        peer,
        service_contexts(STORAGE_COMMITMENT),
        calling_ae=calling_ae,
        handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    )
    if not assoc.is_established:
        return trouble
    with reactor_paused(assoc):
        answer, _ = assoc.send_n_action(
            information, REQUEST, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
        )
    status = answer.get("Status")
    if status == SUCCESS:
        reported.wait(linger_seconds)
    if assoc.is_established:
        assoc.release()
    if status is None:
        return "no answer to N-ACTION"
    return "" if status == SUCCESS else f"destination answered 0x{status:04X} to N-ACTION"


def handle_report(event: Event, record: RecordReport) -> tuple[int, None]:
    """Record an N-EVENT-REPORT; return the status to answer with."""
    try:
        with readable(event):
            report = read_report(event.event_information)
    except Exception as fault:  # noqa: BLE001  # thread border: whatever pydicom makes of it
        log.warning("commitment_ignored", reason=f"unreadable: {type(fault).__name__}")
        return INVALID_ARGUMENT_VALUE, None
    try:
        return record(report), None
    except Exception:  # noqa: BLE001  # thread border: the destination may report again
        log.exception("job_failed", job="commitment")
        return PROCESSING_FAILURE, None


def action_information(transaction_uid: str, objects: Iterable[tuple[str, str]]) -> Dataset:
    """Make the Action Information of a request (PS3.4 Table J.3-1): SOP class, SOP instance."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = Sequence([reference(sop_class, uid) for sop_class, uid in objects])
    return ds


def read_report(ds: Dataset) -> Report:
    """Read the Event Information of a report (PS3.4 Table J.3-3).

    An object that is named as stored and as failed counts as neither.

    Raises
    ------
    AttributeError, TypeError, ValueError
        If the data set is no such report.
    """
    found = evidence(
        [str(item.ReferencedSOPInstanceUID) for item in ds.get("ReferencedSOPSequence") or ()],
        [
            (str(item.ReferencedSOPInstanceUID), _failure_reason(item))
            for item in ds.get("FailedSOPSequence") or ()
        ],
    )
    return Report(
        transaction_uid=str(ds.TransactionUID), committed=found.committed, failed=found.lost
    )


def _failure_reason(item: Dataset) -> int | None:
    reason = item.get("FailureReason")
    return int(reason) if reason is not None else None
