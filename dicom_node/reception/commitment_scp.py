"""Commit to the received instances on a sender's request (Storage Commitment SCP, PS3.4 Annex J).

The N-ACTION is answered at once. The N-EVENT-REPORT follows on the same association if the sender
leaves it open, else on one that we open, if the settings have the sender's address. A report that
cannot be delivered is dropped: a sender without an answer asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
from storage.database.sessions import Session
from storage.files.folder import StorageFolder
from storage.series.instances import kept_paths

THREADS = 4  #: reports made at the same time
MAXIMUM_WAITING = 100  #: requests without a report yet; more are refused
MAXIMUM_OBJECTS = 100_000  #: that all of those name
GRACE_SECONDS = 1.0  #: a sender that closes its association does so within this time
INDEX_SECONDS = 30.0  #: longest wait until the instances received before have their rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The N-ACTION of a sender: objects that it wants us to commit to.

    Attributes
    ----------
    objects
        SOP Instance UID to SOP Class UID.
    """

    calling_ae: str
    transaction_uid: str
    objects: Mapping[str, str]


class CommitmentScp:
    """Answers requests for storage commitment.

    Parameters
    ----------
    peers
        Where senders listen for reports, by AE title.
    """

    def __init__(
        self, index: IndexWriter, folder: StorageFolder, *, ae_title: str, peers: Mapping[str, Peer]
    ) -> None:
        self._index, self._folder = index, folder
        self._ae_title = ae_title
        self._peers = peers
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="commitment")
        self._lock = threading.Lock()
        self._requests = self._objects = 0  #: that wait for a report

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
        if not self._take_place(request):
            return RESOURCE_LIMITATION, None
        answered, closed = threading.Event(), threading.Event()
        event.assoc.bind(evt.EVT_DIMSE_SENT, lambda _: answered.set())  # next is our answer
        event.assoc.bind(evt.EVT_CONN_CLOSE, lambda _: closed.set())
        self._pool.submit(self._report, request, event.assoc, answered, closed)
        log.info(
            "commitment_asked_for", calling_ae=request.calling_ae, objects=len(request.objects)
        )
        return SUCCESS, None

    def _take_place(self, request: CommitmentRequest) -> bool:
        """Say whether a request may wait for its report."""
        with self._lock:
            objects = self._objects + len(request.objects)
            if self._requests >= MAXIMUM_WAITING or objects > MAXIMUM_OBJECTS:
                return False
            self._requests, self._objects = self._requests + 1, objects
        return True

    def _give_place(self, request: CommitmentRequest) -> None:
        with self._lock:
            self._requests, self._objects = self._requests - 1, self._objects - len(request.objects)

    def _report(
        self,
        request: CommitmentRequest,
        assoc: Association,
        answered: threading.Event,
        closed: threading.Event,
    ) -> None:
        """Report on the association of the request, else on one of our own (thread border)."""
        try:
            failures = self._failures(request)
            answered.wait(GRACE_SECONDS)
            is_open = not closed.wait(GRACE_SECONDS) and assoc.is_established
            trouble = "the association is closed"
            if is_open:
                trouble = report_on(assoc, request, failures)
            if trouble and (peer := self._peers.get(request.calling_ae)):
                trouble = report_to(peer, request, failures, calling_ae=self._ae_title)
            if trouble:
                log.warning(
                    "commitment_not_reported", calling_ae=request.calling_ae, reason=trouble
                )
        except Exception:  # noqa: BLE001  # thread border: the sender will ask again
            log.exception("job_failed", job="commitment")
        finally:
            self._give_place(request)

    def _failures(self, request: CommitmentRequest) -> dict[str, int]:
        """Find the objects that are not stored here, with the Failure Reason of each.

        The index is read by its writer, behind the rows of all instances received before.

        Raises
        ------
        TimeoutError
            If the database cannot be written for long.
        """
        paths_of: dict[tuple[str, str], list[str]] = {}
        read = threading.Event()

        def read_paths(session: Session) -> None:
            paths_of.update(kept_paths(session, request.objects))
            read.set()

        self._index.put(read_paths)
        if not read.wait(INDEX_SECONDS):
            raise TimeoutError("the index was not written in time")
        stored = {key for key, paths in paths_of.items() if any(map(self._exists, paths))}
        instances = {uid for uid, _ in stored}
        return {
            uid: CLASS_INSTANCE_CONFLICT if uid in instances else NO_SUCH_SOP_INSTANCE
            for uid, sop_class in request.objects.items()
            if (uid, sop_class) not in stored
        }

    def _exists(self, path: str) -> bool:
        return self._folder.locate(path).exists()


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
