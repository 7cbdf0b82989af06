"""Storage commitment asked of destinations (PS3.4 Annex J), and what they answer.

The answer comes on the association of the request, on one that the destination opens to our port,
or never; see `storage.delivery.commitments` for what follows from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context

from dicom_node.logs import log
from dicom_node.network.association import Peer, associate
from dicom_node.network.fast_dimse.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.status import INVALID_ARGUMENT_VALUE, PROCESSING_FAILURE, SUCCESS
from dicom_node.network.storage_commitment import REQUEST, WELL_KNOWN_INSTANCE, reference
from dicom_node.resources import Resources
from storage.delivery.commitments import Report, ask, enter_report, give_up, reject

MEANS = "storage commitment"
REQUESTS = 4  #: without an answer to so many, acceptance must do
TRIES = 3  #: what a destination says so often that it does not have is refused
LINGER_SECONDS = 3.0

WhenAnswered = Callable[[Report], int]  #: enters a report; returns the status to answer with


class CommitmentScu:
    """Asks one destination to commit to what it accepted.

    Parameters
    ----------
    again
        Time after which the same is asked for again, if there is no answer.
    linger_seconds
        How long the answer may come on the association of the request.
    """

    first_after = timedelta(0)  #: it may be asked as soon as it has accepted

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
        self.name = name
        self._peer = peer
        self._calling_ae = calling_ae
        self._again = again
        self._resources = resources
        self._linger_seconds = linger_seconds

    def round(self) -> None:
        """Ask for everything that is due; give up what was asked for often enough."""
        transaction_uid, wanted = open_request(
            self._resources, self.name, again=self._again, means=MEANS
        )
        if wanted:
            self._request(transaction_uid, wanted)

    def _request(self, transaction_uid: str, wanted: list[tuple[str, str]]) -> None:
        trouble = request(
            self._peer,
            action_information(transaction_uid, wanted),
            calling_ae=self._calling_ae,
            linger_seconds=self._linger_seconds,
            when_answered=lambda report: answered(report, self._resources),
        )
        if trouble:
            not_answered(self._resources, self.name, transaction_uid, trouble)
        else:
            log.info("commitment_requested", destination=self.name, objects=len(wanted))


def open_request(
    resources: Resources, name: str, *, again: timedelta, means: str
) -> tuple[str, list[tuple[str, str]]]:
    """Enter a request for everything that is due; give up what was asked for often enough.

    Returns
    -------
    str
        UID of the request.
    list
        SOP class and instance of each object; empty if there is nothing to ask for.
    """
    now, transaction_uid = resources.clock(), str(generate_uid(prefix=None))
    with resources.sessions.begin() as session:
        given_up = give_up(session, name, now, requests=REQUESTS, means=means)
        wanted = ask(session, name, now, transaction_uid=transaction_uid, again_at=now + again)
    if given_up:
        log.warning("commitment_given_up", destination=name, objects=given_up)
    return transaction_uid, wanted


def not_answered(resources: Resources, name: str, transaction_uid: str, reason: str) -> None:
    """Enter that a request was not taken; it is made again at its time."""
    with resources.sessions.begin() as session:
        reject(session, transaction_uid, reason)
    log.warning("commitment_not_requested", destination=name, reason=reason)


def request(
    peer: Peer,
    wanted: Dataset,
    *,
    calling_ae: str,
    linger_seconds: float,
    when_answered: WhenAnswered,
) -> str:
    """Ask by N-ACTION, and wait a little for an answer on the same association.

    Returns
    -------
    str
        Why the request was not taken; else empty.
    """
    came = threading.Event()

    def report(event: Event) -> tuple[int, None]:
        status = handle_report(event, when_answered)
        came.set()
        return status

    assoc, trouble = associate(
        peer,
        [build_context(STORAGE_COMMITMENT)],
        calling_ae=calling_ae,
        handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    )
    if not assoc.is_established:
        return trouble
    with reactor_paused(assoc):
        answer, _ = assoc.send_n_action(wanted, REQUEST, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    status = answer.get("Status")
    if status == SUCCESS:
        came.wait(linger_seconds)
    if assoc.is_established:
        assoc.release()
    if status is None:
        return "no answer to N-ACTION"
    return "" if status == SUCCESS else f"destination answered 0x{status:04X} to N-ACTION"


def handle_report(event: Event, when_answered: WhenAnswered) -> tuple[int, None]:
    """Take an N-EVENT-REPORT in; return the status to answer with."""
    try:
        report = read_report(event.event_information)
    except (AttributeError, TypeError, ValueError) as fault:
        log.warning("commitment_ignored", reason=f"unreadable: {type(fault).__name__}")
        return INVALID_ARGUMENT_VALUE, None
    try:
        return when_answered(report), None
    except Exception:  # noqa: BLE001  # thread border: the destination may report again
        log.exception("job_failed", job="commitment")
        return PROCESSING_FAILURE, None


def answered(report: Report, resources: Resources) -> int:
    """Enter a report; one that nobody asked for changes nothing, and is logged."""
    with resources.sessions.begin() as session:
        series = enter_report(session, report, resources.clock(), tries=TRIES)
    if series is None:
        log.warning("commitment_ignored", reason="no such request is open")
        return SUCCESS
    write = log.warning if report.failed else log.info
    write("commitment_answered", objects=len(report.committed), failed=len(report.failed))
    return SUCCESS


def action_information(transaction_uid: str, wanted: Iterable[tuple[str, str]]) -> Dataset:
    """Put a request into words (PS3.4 Table J.3-1), of SOP class and instance of each object."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = Sequence([reference(*each) for each in wanted])
    return ds


def read_report(ds: Dataset) -> Report:
    """Read what a destination answers (PS3.4 Table J.3-3).

    Raises
    ------
    AttributeError, TypeError, ValueError
        If it is no such answer.
    """
    return Report(
        transaction_uid=str(ds.TransactionUID),
        committed=frozenset(
            str(each.ReferencedSOPInstanceUID) for each in ds.get("ReferencedSOPSequence") or ()
        ),
        failed={
            str(each.ReferencedSOPInstanceUID): int(each.get("FailureReason", PROCESSING_FAILURE))
            for each in ds.get("FailedSOPSequence") or ()
        },
    )
