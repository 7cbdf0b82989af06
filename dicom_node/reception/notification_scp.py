"""Take what other systems say of their instances: performed steps, and availability.

Modality Performed Procedure Step SCP (PS3.4 Annex F): N-CREATE begins a step, N-SET ends it and
names its images. Instance Availability Notification SCP (PS3.4 Annex R): N-CREATE names instances
that can be had. Both are in the database before they are answered, so that a start knows them.
What they say decides only when a series is taken for complete; nothing of a patient is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import cast

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.events import Event

from dicom_node.logs import log
from dicom_node.network.association import requestor
from dicom_node.network.sop_classes import INSTANCE_AVAILABILITY, PERFORMED_STEP
from dicom_node.network.status_codes import (
    DUPLICATE_SOP_INSTANCE,
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE,
    NO_SUCH_SOP_INSTANCE,
    NOT_AUTHORISED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
)
from dicom_node.reception.header import PLAIN_UID
from dicom_node.reception.notification_reader import (
    OF_AVAILABILITY,
    OF_STEP,
    NotificationContent,
    ReferencedSeries,
    TooManyItems,
    read_notification,
)
from dicom_node.reception.refusals import Refusal
from dicom_node.resources import Resources
from storage.errors import StorageError
from storage.series.notifications import (
    FINAL,
    Notice,
    NotificationKind,
    NotificationState,
    TooManyNamed,
    keep_notice,
    notification,
)

NO_LONGER = 0xA710  #: Error ID (0000,0903) of a step that has ended, PS3.4 F.7.2.2.3
MAXIMUM_SERIES = 1_000  #: that one notification may name
UNAVAILABLE = "UNAVAILABLE"  #: Instance Availability (0008,0056), PS3.3 C.4.23
STATES = {
    "IN PROGRESS": NotificationState.IN_PROGRESS,
    "COMPLETED": NotificationState.COMPLETED,
    "DISCONTINUED": NotificationState.DISCONTINUED,
}
"""Performed Procedure Step Status (0040,0252), PS3.3 C.4.14."""

Answer = tuple[int | Dataset, Dataset | None]  #: status, and attributes


class Refused(Exception):
    """A request that is not taken.

    Parameters
    ----------
    status
        To answer with.
    reason
        For people.
    error_id
        Error ID (0000,0903); 0 for none.
    """

    def __init__(self, status: int, reason: str, error_id: int = 0) -> None:
        super().__init__(reason)
        self.status, self.reason, self.error_id = status, reason, error_id


class NotificationScp:
    """Keeps notifications.

    Parameters
    ----------
    refuse
        Records what is refused.
    wake
        Called when a notification was kept: a series may be complete.
    """

    def __init__(
        self,
        resources: Resources,
        refuse: Callable[[Refusal], None],
        wake: Callable[[], None],
    ) -> None:
        self._sessions, self._clock = resources.sessions, resources.clock
        self._refuse, self._wake = refuse, wake

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """To be bound to a server."""
        return [(evt.EVT_N_CREATE, self.create), (evt.EVT_N_SET, self.change)]

    def create(self, event: Event) -> Answer:
        """Answer an N-CREATE: a step that begins, or instances that are available."""
        uid = str(cast(N_CREATE, event.request).AffectedSOPInstanceUID or "")
        return self._answered(event, uid, lambda: self._create(event, uid))

    def change(self, event: Event) -> Answer:
        """Answer an N-SET: a step goes on, or ends."""
        uid = str(cast(N_SET, event.request).RequestedSOPInstanceUID or "")
        return self._answered(event, uid, lambda: self._change(event, uid))

    def _answered(self, event: Event, uid: str, keep: Callable[[], Notice]) -> Answer:
        """Have a notification kept, and answer whatever comes of it."""
        try:
            notice = keep()
        except Refused as refused:
            self._record(event, refused.reason)
            return _failure(refused), None
        except TooManyNamed as fault:
            self._record(event, str(fault))
            return RESOURCE_LIMITATION, None
        except StorageError as fault:
            log.error("job_failed", job="notification", reason=str(fault))
            return PROCESSING_FAILURE, None
        log.info(
            "notification_kept",
            calling_ae=notice.calling_ae,
            kind=notice.kind,
            state=notice.state,
            series=len(notice.series or {}),
            instances=sum(map(len, (notice.series or {}).values())),
        )
        self._wake()
        return SUCCESS, None

    def _create(self, event: Event, uid: str) -> Notice:
        sop_class = str(event.request.AffectedSOPClassUID or "")
        notice = _new_notice(sop_class, _checked(uid), event)
        with self._sessions.begin() as session:
            if notification(session, uid) is not None:
                raise Refused(DUPLICATE_SOP_INSTANCE, "it has come before")
            keep_notice(session, notice, self._clock())
        return notice

    def _change(self, event: Event, uid: str) -> Notice:
        notice = _changed_notice(uid, event)
        with self._sessions.begin() as session:
            known = notification(session, uid)
            if known is None or known.kind is not NotificationKind.PROCEDURE_STEP:
                raise Refused(NO_SUCH_SOP_INSTANCE, "no such step has begun")
            if known.calling_ae != notice.calling_ae:
                raise Refused(NOT_AUTHORISED, f"the step is {known.calling_ae}'s")
            if known.state in FINAL:
                raise Refused(PROCESSING_FAILURE, "the step has ended", NO_LONGER)
            keep_notice(session, notice, self._clock())
        return notice

    def _record(self, event: Event, reason: str) -> None:
        self._refuse(
            Refusal(
                kind="context_refused",
                calling_ae=requestor(event),
                address=str(event.assoc.requestor.address),
                what="a notification",
                reason=reason,
            )
        )


def _failure(refused: Refused) -> Dataset:
    """Make the status elements of an answer (PS3.7 C.5)."""
    ds = Dataset()
    ds.Status = refused.status
    ds.ErrorComment = refused.reason[:64]
    if refused.error_id:
        ds.ErrorID = refused.error_id
    return ds


def _content(event: Event, sequences: tuple[int, int]) -> NotificationContent:
    """Read a request within bounds.

    Raises
    ------
    Refused
        If it is no data set, or too large.
    """
    encoded: BytesIO | None = getattr(
        event.request,
        "AttributeList" if isinstance(event.request, N_CREATE) else "ModificationList",
    )
    data = encoded.getvalue() if encoded is not None else b""
    syntax = UID(event.context.transfer_syntax)
    try:
        return read_notification(data, sequences, is_implicit=syntax.is_implicit_VR)
    except TooManyItems as fault:
        raise Refused(RESOURCE_LIMITATION, str(fault)) from fault
    except ValueError as fault:
        raise Refused(INVALID_ATTRIBUTE_VALUE, f"no data set: {fault}") from fault


def _new_notice(sop_class: str, uid: str, event: Event) -> Notice:
    if sop_class == INSTANCE_AVAILABILITY:
        return Notice(
            sop_instance_uid=uid,
            kind=NotificationKind.AVAILABILITY,
            state=NotificationState.AVAILABLE,
            calling_ae=requestor(event),
            series=_named(_content(event, OF_AVAILABILITY).series or []),
        )
    if sop_class != PERFORMED_STEP:
        raise Refused(SOP_CLASS_NOT_SUPPORTED, "neither a performed step nor an availability")
    content = _content(event, OF_STEP)
    state = _state(content)
    if state is None:
        raise Refused(MISSING_ATTRIBUTE, "it has no Performed Procedure Step Status")
    if state is not NotificationState.IN_PROGRESS:
        raise Refused(INVALID_ATTRIBUTE_VALUE, "a step begins IN PROGRESS")
    return _step(uid, content, state, event)


def _changed_notice(uid: str, event: Event) -> Notice:
    content = _content(event, OF_STEP)
    return _step(uid, content, _state(content) or NotificationState.IN_PROGRESS, event)


def _step(uid: str, content: NotificationContent, state: NotificationState, event: Event) -> Notice:
    return Notice(
        sop_instance_uid=uid,
        kind=NotificationKind.PROCEDURE_STEP,
        state=state,
        calling_ae=requestor(event),
        series=None if content.series is None else _named(content.series),
    )


def _state(content: NotificationContent) -> NotificationState | None:
    text = content.status.upper()
    if text and text not in STATES:
        raise Refused(INVALID_ATTRIBUTE_VALUE, "no known Performed Procedure Step Status")
    return STATES.get(text)


def _named(listed: Iterable[ReferencedSeries]) -> dict[str, list[str]]:
    """Give the instances that are named, by series; series without any are left out."""
    named: dict[str, list[str]] = {}
    for series in listed:
        instances = [
            _checked(one.sop_instance_uid)
            for one in series.references
            if one.availability != UNAVAILABLE
        ]
        if instances:
            named.setdefault(_checked(series.series_instance_uid), []).extend(instances)
    if len(named) > MAXIMUM_SERIES:
        raise Refused(RESOURCE_LIMITATION, f"it names more than {MAXIMUM_SERIES} series")
    return named


def _checked(uid: str) -> str:
    if not PLAIN_UID.fullmatch(uid):
        raise Refused(INVALID_ATTRIBUTE_VALUE, "it names no UID where one is needed")
    return uid
