"""Request a destination's commitment to the objects that it accepted, and record its report.

Two kinds of request: storage commitment (`dicom_node.delivery.commitment.scu`) and a query
(`dicom_node.delivery.commitment.query`). The consequences of a report, or of none, are decided in
`storage.delivery.commitments`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import ClassVar

from pydicom.uid import generate_uid

from dicom_node.logs import log
from dicom_node.network.association import Peer
from dicom_node.network.status_codes import SUCCESS
from dicom_node.resources import Resources
from storage.delivery.commitments import (
    Report,
    accept_unanswered,
    enter_report,
    record_rejection,
    record_request,
    unasked_objects,
)

REQUESTS = 4  #: after so many requests without an answer, acceptance counts as delivery
TRIES = 3  #: an object that the destination reports missing so often is refused

Objects = list[tuple[str, str]]  #: SOP Class and SOP Instance UID of each


class CommitmentRequester(ABC):
    """Requests the commitment of one destination to all objects that it accepted and that are due.

    Parameters
    ----------
    again
        Time after which a request without an answer is repeated.
    """

    means: ClassVar[str]  #: kind of request, in the words of `dicom-node status`
    first_after: ClassVar[timedelta]  #: from acceptance to the first request

    def __init__(
        self,
        name: str,
        peer: Peer,
        *,
        calling_ae: str,
        again: timedelta,
        resources: Resources,
    ) -> None:
        self.name = name
        self._peer, self._calling_ae = peer, calling_ae
        self._again = again
        self._longest_wait = max(again, self.first_after)
        self._resources = resources

    def run_once(self) -> None:
        """Request commitment to all objects that are due; give up those requested often enough."""
        transaction_uid, due = self._open_request()
        if not due:
            return
        reason = self._ask(transaction_uid, due)
        if reason:
            with self._resources.sessions.begin() as session:
                record_rejection(session, transaction_uid, reason)
            log.warning("commitment_not_requested", destination=self.name, reason=reason)

    @abstractmethod
    def _ask(self, transaction_uid: str, due: Objects) -> str:
        """Send the request; return why it was not accepted, else empty."""

    def _open_request(self) -> tuple[str, Objects]:
        """Enter a request for the objects that are due; return its Transaction UID and objects."""
        now, transaction_uid = self._resources.clock(), str(generate_uid(prefix=None))
        with self._resources.sessions.begin() as session:
            given_up = accept_unanswered(
                session,
                self.name,
                now,
                requests=REQUESTS,
                means=self.means,
                longest_wait=self._longest_wait,
            )
            due = record_request(
                session,
                self.name,
                now,
                transaction_uid=transaction_uid,
                again_at=now + self._again,
                longest_wait=self._longest_wait,
            )
        if given_up:
            log.warning("commitment_given_up", destination=self.name, objects=given_up)
        return transaction_uid, due


def record_report(report: Report, resources: Resources) -> int:
    """Enter a report; return the status to answer with.

    A report without an open request changes nothing, and is logged; so is what it says of objects
    that were not asked for, or whose rows were condensed.
    """
    with resources.sessions.begin() as session:
        unasked = unasked_objects(session, report)
        series = enter_report(session, report, resources.clock(), tries=TRIES)
    if series is None:
        log.warning("commitment_ignored", reason="no such request is open")
        return SUCCESS
    if unasked:
        reason = "the request does not name them, or not any more"
        log.warning("commitment_ignored", objects=len(unasked), reason=reason)
    write = log.warning if report.failed else log.info
    write("commitment_answered", objects=len(report.committed), failed=len(report.failed))
    return SUCCESS
