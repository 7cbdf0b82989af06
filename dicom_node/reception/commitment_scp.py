"""Commit to the received instances on a sender's request (Storage Commitment SCP, PS3.4 Annex J).

The N-ACTION is answered once the request is in the database, so that no report that was promised is
forgotten. The N-EVENT-REPORT follows on the same association if the sender leaves it open, else on
one that we open; one that cannot be given is tried again, also after a start, for three days. A
sender whose address the settings do not have is refused at once: it might never be reached.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_role

from dicom_node.logs import log
from dicom_node.network.association import Peer, associate, requestor
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.status_codes import (
    CLASS_INSTANCE_CONFLICT,
    INVALID_ARGUMENT_VALUE,
    NO_SUCH_ACTION,
    NO_SUCH_SOP_INSTANCE,
    NOT_AUTHORISED,
    RESOURCE_LIMITATION,
    SUCCESS,
)
from dicom_node.network.storage_commitment import (
    COMPLETE,
    FAILURES_EXIST,
    REQUEST,
    WELL_KNOWN_INSTANCE,
    readable,
    reference,
)
from dicom_node.reception.header import PARSE_ERRORS
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.refusals import Refusal
from dicom_node.resources import Resources
from storage.database.sessions import Session
from storage.errors import StorageError
from storage.series.commitment_requests import (
    CommitmentRequest,
    due_requests,
    end_request,
    keep_request,
    postpone_request,
)
from storage.series.instances import kept_paths

THREADS = 4  #: reports made at the same time
NOT_LISTED = "its address is not in [node] commitment_peers"
GRACE_SECONDS = 1.0  #: a sender that closes its association does so within this time
LOOK_SECONDS = 0.1  #: between two looks whether others have entered what they have kept
INDEX_SECONDS = 30.0  #: longest wait until the instances received before have their rows


class CommitmentScp:
    """Answers requests for storage commitment.

    Parameters
    ----------
    refuse
        Records what is refused or given up.
    peers
        Where senders listen for reports, by AE title.
    """

    def __init__(
        self,
        index: IndexWriter,
        resources: Resources,
        refuse: Callable[[Refusal], None],
        *,
        ae_title: str,
        peers: Mapping[str, Peer],
    ) -> None:
        self._index, self._folder, self._clock = index, resources.folder, resources.clock
        self._sessions = resources.sessions
        self._health, self._refuse = resources.health, refuse
        self._ae_title = ae_title
        self._peers = peers
        self._pause = threading.Event()  #: never set
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="commitment")

    def take(self, peers: Mapping[str, Peer]) -> None:
        """Answer other peers from now on; reports that wait go where they listen now."""
        self._peers = peers

    def stop(self) -> None:
        """Drop the reports that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def handle(self, event: Event) -> tuple[int, None]:
        """Accept an N-ACTION request and report later; return the status to answer with."""
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, None
        try:
            with readable(event):
                request = read_request(event.action_information, requestor(event))
        except PARSE_ERRORS:
            return INVALID_ARGUMENT_VALUE, None
        if request.calling_ae not in self._peers:
            self._record(request, NOT_LISTED, address=str(event.assoc.requestor.address))
            return NOT_AUTHORISED, None
        if not self._keep(request):
            self._record(request, "too many requests wait for their report, or the database does")
            return RESOURCE_LIMITATION, None
        answered, closed = threading.Event(), threading.Event()
        event.assoc.bind(evt.EVT_DIMSE_SENT, lambda _: answered.set())  # next is our answer
        event.assoc.bind(evt.EVT_CONN_CLOSE, lambda _: closed.set())
        self._pool.submit(self._report, request, event.assoc, answered, closed)
        log.info(
            "commitment_asked_for", calling_ae=request.calling_ae, objects=len(request.objects)
        )
        return SUCCESS, None

    def report_due(self) -> None:
        """Try again to give the reports that are due, one after the other."""
        with self._sessions.reading() as session:
            due = due_requests(session, self._clock())
        deadline = time.monotonic() + INDEX_SECONDS
        for request in due:
            failures = self._failures(request, deadline)
            self._settle(request, self._report_to_peer(request, failures))

    def _keep(self, request: CommitmentRequest) -> bool:
        """Write a request to the database; False if too many wait, or that cannot be done."""
        try:
            with self._sessions.begin() as session:
                return keep_request(session, request, self._clock())
        except StorageError as fault:
            log.error("job_failed", job="commitment", reason=str(fault))
            return False

    def _report(
        self,
        request: CommitmentRequest,
        assoc: Association,
        answered: threading.Event,
        closed: threading.Event,
    ) -> None:
        """Report on the association of the request, else on one of our own (thread border)."""
        try:
            failures = self._failures(request, time.monotonic() + INDEX_SECONDS)
            answered.wait(GRACE_SECONDS)
            is_open = not closed.wait(GRACE_SECONDS) and assoc.is_established
            trouble = "the association is closed"
            if is_open:
                trouble = report_on(assoc, request, failures)
            if trouble:
                trouble = self._report_to_peer(request, failures)
            self._settle(request, trouble)
        except Exception:  # noqa: BLE001  # thread border: it is tried again
            log.exception("job_failed", job="commitment")

    def _report_to_peer(self, request: CommitmentRequest, failures: Mapping[str, int]) -> str:
        """Report where the sender listens; return why that failed, else empty."""
        peer = self._peers.get(request.calling_ae)
        if peer is None:
            return NOT_LISTED
        return report_to(peer, request, failures, calling_ae=self._ae_title)

    def _settle(self, request: CommitmentRequest, trouble: str) -> None:
        """Record how a try ended, for `status` as well."""
        part = f"storage commitment to {request.calling_ae}"
        if not trouble:
            with self._sessions.begin() as session:
                end_request(session, request)
            self._health.well(part)
            return
        log.warning("commitment_not_reported", calling_ae=request.calling_ae, reason=trouble)
        with self._sessions.begin() as session:
            is_postponed = postpone_request(session, request, self._clock())
        if is_postponed:
            self._health.fault(part, f"a report cannot be given and is tried again: {trouble}")
        else:
            self._health.well(part)
            self._record(request, f"its report was given up: {trouble}")

    def _record(self, request: CommitmentRequest, reason: str, *, address: str = "") -> None:
        self._refuse(
            Refusal(
                kind="context_refused",
                calling_ae=request.calling_ae,
                address=address,
                what="storage commitment",
                reason=reason,
            )
        )

    def _failures(self, request: CommitmentRequest, deadline: float) -> dict[str, int]:
        """Find the objects that are not stored here, with the Failure Reason of each.

        What another receiver has kept, and not entered yet, is waited for until a deadline
        (monotonic, seconds); what is not entered by then counts as not stored.

        Raises
        ------
        TimeoutError
            If the database cannot be written for long.
        """
        before = self._folder.noted()
        failures = self._not_stored(request)
        if not (failures and before):
            return failures
        while before & self._folder.noted() and time.monotonic() < deadline:
            self._pause.wait(LOOK_SECONDS)
        return self._not_stored(request)

    def _not_stored(self, request: CommitmentRequest) -> dict[str, int]:
        """Find the objects without a kept file that has a row.

        The index is read by its writer, behind the rows of all instances received here before.
        """
        paths_of: dict[tuple[str, str], list[str]] = {}
        read = threading.Event()

        def read_paths(session: Session) -> None:
            paths_of.update(kept_paths(session, request.objects))
            read.set()

        self._index.put(read_paths)
        if not read.wait(INDEX_SECONDS):
            raise TimeoutError("the index was not written in time")
        absent = self._folder.absent(path for paths in paths_of.values() for path in paths)
        stored = {key for key, paths in paths_of.items() if not absent.issuperset(paths)}
        instances = {uid for uid, _ in stored}
        return {
            uid: CLASS_INSTANCE_CONFLICT if uid in instances else NO_SUCH_SOP_INSTANCE
            for uid, sop_class in request.objects.items()
            if (uid, sop_class) not in stored
        }


def read_request(ds: Dataset, calling_ae: str) -> CommitmentRequest:
    """Read the Action Information of a request (PS3.4 Table J.3-1).

    Raises
    ------
    AttributeError, TypeError, ValueError
        If the data set is no such request.
    """
    objects = {
        str(item.ReferencedSOPInstanceUID): str(item.ReferencedSOPClassUID)
        for item in ds.ReferencedSOPSequence
    }
    if not objects or not ds.TransactionUID:
        raise ValueError("expected a transaction and its objects, got none")
    return CommitmentRequest(
        calling_ae=calling_ae, transaction_uid=str(ds.TransactionUID), objects=objects
    )


def event_information(
    request: CommitmentRequest, failures: Mapping[str, int]
) -> tuple[int, Dataset]:
    """Make the Event Type ID and the Event Information of a report (PS3.4 Table J.3-3)."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    objects = request.objects.items()
    if stored := [reference(sop_class, uid) for uid, sop_class in objects if uid not in failures]:
        ds.ReferencedSOPSequence = Sequence(stored)
    if not failures:
        return COMPLETE, ds
    failed = [reference(sop_class, uid) for uid, sop_class in objects if uid in failures]
    for item in failed:
        item.FailureReason = failures[item.ReferencedSOPInstanceUID]
    ds.FailedSOPSequence = Sequence(failed)
    return FAILURES_EXIST, ds


def report_on(assoc: Association, request: CommitmentRequest, failures: Mapping[str, int]) -> str:
    """Report by N-EVENT-REPORT on an association; return why that failed, else empty."""
    kind, ds = event_information(request, failures)
    try:
        with reactor_paused(assoc):
            answer, _ = assoc.send_n_event_report(ds, kind, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    except (
        RuntimeError,
        ValueError,
    ) as fault:  # it has just ended, or has no such role
        return f"cannot report: {type(fault).__name__}"
    status = answer.get("Status")
    if status is None:
        return "no answer to N-EVENT-REPORT"
    return "" if status == SUCCESS else f"the sender answered 0x{status:04X} to N-EVENT-REPORT"


def report_to(
    peer: Peer, request: CommitmentRequest, failures: Mapping[str, int], *, calling_ae: str
) -> str:
    """Report on an association of our own; return why that failed, else empty."""
    assoc, trouble = associate(
        peer,
        service_contexts(STORAGE_COMMITMENT),
        calling_ae=calling_ae,
        roles=[build_role(STORAGE_COMMITMENT, scp_role=True)],
    )
    if not assoc.is_established:
        return trouble
    trouble = report_on(assoc, request, failures)
    if assoc.is_established:
        assoc.release()
    return trouble
