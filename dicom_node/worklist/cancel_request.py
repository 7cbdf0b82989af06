"""Hear from the manager that somebody wants a work item canceled (UPS Event, PS3.4 CC.2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event

from dicom_node.logs import log
from dicom_node.network.association import requestor
from dicom_node.network.status_codes import (
    NO_SUCH_SOP_INSTANCE,
    NOT_AUTHORISED,
    PROCESSING_FAILURE,
    SUCCESS,
)
from dicom_node.resources import Resources
from storage.delivery.work_items import request_cancellation
from storage.errors import StorageError

CANCEL_REQUESTED = 2  #: Event Type ID, PS3.4 Table CC.2.4-1


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequests:
    """Enters requests to cancel work items; every other event is taken, and changes nothing.

    Attributes
    ----------
    manager
        AE title of the manager: events of others are refused.
    """

    resources: Resources
    manager: str

    def handle(self, event: Event) -> tuple[int, None]:
        """Enter an N-EVENT-REPORT; return the status to answer with (thread border)."""
        request = cast(N_EVENT_REPORT, event.request)
        if requestor(event) != self.manager:
            return NOT_AUTHORISED, None
        if request.EventTypeID != CANCEL_REQUESTED:
            return SUCCESS, None
        uid = str(request.AffectedSOPInstanceUID or "")
        try:
            with self.resources.sessions.begin() as session:
                is_open = request_cancellation(session, uid, self.resources.clock())
        except StorageError as fault:
            log.error("job_failed", job="worklist events", reason=str(fault))
            return PROCESSING_FAILURE, None
        if not is_open:
            return NO_SUCH_SOP_INSTANCE, None
        log.info("workitem_cancel_requested", workitem_uid=uid)
        return SUCCESS, None
