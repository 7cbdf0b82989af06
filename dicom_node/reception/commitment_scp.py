"""Storage commitment for senders who ask for it (PS3.4 Annex J): what we keep, and what we do not.

The request is answered at once. The report follows on the same association if the sender leaves it
open, else on one that we open, if we know where the sender is. A report that cannot be made is not
kept: a sender without an answer asks again.
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
from pynetdicom.presentation import build_context, build_role

from dicom_node.logs import log
from dicom_node.network.association import Peer, associate, requestor
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.status import (
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
    reference,
)
from dicom_node.reception.index_writer import IndexWriter
from storage.database.sessions import Session
from storage.files.folder import StorageFolder
from storage.series.instances import kept_paths

THREADS = 4  #: reports made side by side
MAXIMUM_WAITING = 100  #: requests that are not reported on yet; more are turned away
GRACE_SECONDS = 1.0  #: a sender that closes its association does so within this time
INDEX_SECONDS = 30.0  #: longest wait until what was received before has its rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """What a sender asks for.

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
        Where senders hear, by AE title.
    """

    def __init__(
        self, index: IndexWriter, folder: StorageFolder, *, ae_title: str, peers: Mapping[str, Peer]
    ) -> None:
        self._index, self._folder = index, folder
        self._ae_title = ae_title
        self._peers = peers
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="witness")
        self._room = threading.BoundedSemaphore(MAXIMUM_WAITING)

    def stop(self) -> None:
        """Report no more than what is being reported now."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def handle(self, event: Event) -> tuple[int, None]:
        """Take an N-ACTION in; return the status to answer with."""
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, None
        try:
            request = read_request(event.action_information, requestor(event))
        except (AttributeError, TypeError, ValueError):
            return INVALID_ARGUMENT_VALUE, None
        if not self._room.acquire(blocking=False):
            return RESOURCE_LIMITATION, None
        sent, over = threading.Event(), threading.Event()
        event.assoc.bind(evt.EVT_DIMSE_SENT, lambda _: sent.set())  # next is our answer
        event.assoc.bind(evt.EVT_CONN_CLOSE, lambda _: over.set())
        self._pool.submit(self._follow_up, request, event.assoc, sent, over)
        log.info(
            "commitment_asked_for", calling_ae=request.calling_ae, objects=len(request.objects)
        )
        return SUCCESS, None

    def _follow_up(
        self,
        request: CommitmentRequest,
        assoc: Association,
        sent: threading.Event,
        over: threading.Event,
    ) -> None:
        """Report when the request is answered, here or there (thread border)."""
        try:
            failures = self._failures(request)
            sent.wait(GRACE_SECONDS)
            open_still = not over.wait(GRACE_SECONDS) and assoc.is_established
            trouble = "the association is closed"
            if open_still:
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
            self._room.release()

    def _failures(self, request: CommitmentRequest) -> dict[str, int]:
        """Find what we do not keep, once all that came before has its rows.

        Raises
        ------
        TimeoutError
            If the database cannot be written for long.
        """
        kept: dict[tuple[str, str], list[str]] = {}
        found = threading.Event()

        def look(session: Session) -> None:
            kept.update(kept_paths(session, request.objects))
            found.set()

        self._index.put(look)
        if not found.wait(INDEX_SECONDS):
            raise TimeoutError("the index was not written in time")
        here = {each for each, paths in kept.items() if any(map(self._exists, paths))}
        instances = {uid for uid, _ in here}
        return {
            uid: CLASS_INSTANCE_CONFLICT if uid in instances else NO_SUCH_SOP_INSTANCE
            for uid, sop_class in request.objects.items()
            if (uid, sop_class) not in here
        }

    def _exists(self, path: str) -> bool:
        return self._folder.locate(path).exists()


def read_request(ds: Dataset, calling_ae: str) -> CommitmentRequest:
    """Read what is asked for (PS3.4 Table J.3-1).

    Raises
    ------
    AttributeError, TypeError, ValueError
        If it is no such request.
    """
    objects = {
        str(each.ReferencedSOPInstanceUID): str(each.ReferencedSOPClassUID)
        for each in ds.ReferencedSOPSequence
    }
    if not objects or not ds.TransactionUID:
        raise ValueError("expected a transaction and its objects, got none")
    return CommitmentRequest(
        calling_ae=calling_ae, transaction_uid=str(ds.TransactionUID), objects=objects
    )


def event_information(
    request: CommitmentRequest, failures: Mapping[str, int]
) -> tuple[int, Dataset]:
    """Put a report into words (PS3.4 Table J.3-3): its Event Type ID, and its data set."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    objects = request.objects.items()
    if kept := [reference(sop_class, uid) for uid, sop_class in objects if uid not in failures]:
        ds.ReferencedSOPSequence = Sequence(kept)
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
    except (RuntimeError, ValueError) as fault:  # it has just ended, or has no such role
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
        [build_context(STORAGE_COMMITMENT)],
        calling_ae=calling_ae,
        roles=[build_role(STORAGE_COMMITMENT, scp_role=True)],
    )
    if not assoc.is_established:
        return trouble
    trouble = report_on(assoc, request, failures)
    if assoc.is_established:
        assoc.release()
    return trouble
