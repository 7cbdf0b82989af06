"""A worklist manager on loopback: Unified Procedure Step SCP (PS3.4 Annex CC), kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import C_FIND, N_ACTION, N_GET, N_SET
from pynetdicom.events import Event

from dicom_node.network.association import Peer
from dicom_node.network.sop_classes import (
    WORK_ITEM,
    WORKLIST_EVENT,
    WORKLIST_PULL,
    WORKLIST_WATCH,
)
from tests.support.peers.pacs import DicomServer

SCHEDULED, IN_PROGRESS = "SCHEDULED", "IN PROGRESS"
COMPLETED, CANCELED = "COMPLETED", "CANCELED"
ENDED = {COMPLETED: 0xB306, CANCELED: 0xB304}  #: warning where that state is asked for again
ACTIONS: dict[tuple[str, str], int] = {
    (SCHEDULED, IN_PROGRESS): 0,
    (SCHEDULED, COMPLETED): 0xC310,
    (SCHEDULED, CANCELED): 0xC310,
    (IN_PROGRESS, IN_PROGRESS): 0xC302,
    (IN_PROGRESS, COMPLETED): 0,
    (IN_PROGRESS, CANCELED): 0,
    **{(state, IN_PROGRESS): 0xC300 for state in ENDED},
    **{(state, asked): 0xC300 for state in ENDED for asked in ENDED if state != asked},
    **{(state, state): warning for state, warning in ENDED.items()},
}
"""State and state asked for, to status: PS3.4 Table CC.1.1-2."""


def item(**values: object) -> Dataset:
    """An item of a sequence, or a whole work item."""
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def code(value: str, scheme: str = "DCM") -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=f"meaning of {value}")


def work_item(
    uid: str,
    *inputs: tuple[str, str, Sequence[str]],
    workitem: str = "110005",
    station: str = "AINODE",
    readiness: str = "READY",
    priority: str = "MEDIUM",
) -> Dataset:
    """A scheduled work item; its inputs are study, series and instances."""
    return item(
        SOPClassUID=WORK_ITEM,
        SOPInstanceUID=uid,
        PatientName="Muster^Max",
        ProcedureStepState=SCHEDULED,
        InputReadinessState=readiness,
        ScheduledProcedureStepPriority=priority,
        ScheduledProcedureStepStartDateTime="20260301120000",
        ScheduledWorkitemCodeSequence=[code(workitem)],
        ScheduledStationNameCodeSequence=[code(station, "99SITE")],
        InputInformationSequence=[
            item(
                TypeOfInstances="DICOM",
                StudyInstanceUID=study,
                SeriesInstanceUID=series,
                ReferencedSOPSequence=[
                    item(
                        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
                        ReferencedSOPInstanceUID=one,
                    )
                    for one in instances
                ],
            )
            for study, series, instances in inputs
        ],
    )


@dataclass
class WorklistManager(DicomServer):
    """Holds work items, and guards their states and their performers.

    Attributes
    ----------
    items
        By SOP Instance UID.
    performers
        Transaction UID of each that was claimed.
    subscribed
        AE title that wants to hear of a work item.
    requests
        What was asked, in order: N-ACTION by the state asked for.
    told
        Progress that was set, in order.
    refusing
        Status with which every N-SET and change of state is refused; 0 for none.
    watches
        Whether it takes subscriptions.
    heard
        Called with every request before and after it is done; aborts the association if it says so.
    """

    ae_title = "MANAGER"

    items: dict[str, Dataset] = field(default_factory=dict)
    performers: dict[str, str] = field(default_factory=dict)
    subscribed: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refusing: int = 0
    watches: bool = True
    heard: Callable[[str], bool] = lambda _: False

    def add(self, ds: Dataset) -> Dataset:
        self.items[str(ds.SOPInstanceUID)] = ds
        return ds

    def state(self, uid: str) -> str:
        return str(self.items[uid].ProcedureStepState)

    @property
    def peer(self) -> Peer:
        return Peer(ae_title=self.ae_title, host="127.0.0.1", port=self.port, timeout_seconds=5)

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(WORKLIST_PULL)
        if self.watches:
            ae.add_supported_context(WORKLIST_WATCH)
        return [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_GET, self._get),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_ACTION, self._act),
        ]

    def request_cancellation(
        self, uid: str, port: int, *, calling: str = "", event_type: int = 2
    ) -> int | None:
        """Tell the performer that somebody wants a work item canceled; return its answer."""
        ae = AE(calling or self.ae_title)
        ae.add_requested_context(WORKLIST_EVENT, ImplicitVRLittleEndian)
        assoc = ae.associate(
            "127.0.0.1",
            port,
            ae_title="AINODE",
            ext_neg=[build_role(WORKLIST_EVENT, scp_role=True)],
        )
        assert assoc.is_established
        answer, _ = assoc.send_n_event_report(
            item(ReasonForCancellation="no longer needed"),
            event_type,
            WORK_ITEM,
            uid,
            meta_uid=WORKLIST_EVENT,
        )
        assoc.release()
        return cast("int | None", answer.get("Status"))

    def _hears(self, event: Event, request: str) -> bool:
        """Note a request, or its end; say whether the association was to break off there."""
        if self.heard(request):
            event.assoc.abort()
            return True
        return False

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        cast(C_FIND, event.request)
        if self._hears(event, "C-FIND"):
            return
        keys = event.identifier
        for ds in list(self.items.values()):
            if all(_matches(ds, keys, name) for name in MATCHED):
                yield 0xFF00, _shown(ds, [element.tag for element in keys])
        self._hears(event, "C-FIND done")

    def _get(self, event: Event) -> tuple[int, Dataset | None]:
        uid = str(cast(N_GET, event.request).RequestedSOPInstanceUID)
        if self._hears(event, "N-GET"):
            return 0x0110, None
        self._hears(event, "N-GET done")
        if uid not in self.items:
            return 0xC307, None
        return 0, _shown(self.items[uid], event.attribute_identifiers)

    def _set(self, event: Event) -> tuple[int, Dataset | None]:
        uid = str(cast(N_SET, event.request).RequestedSOPInstanceUID)
        if self._hears(event, "N-SET"):
            return 0x0110, None
        status = self._set_now(uid, event.modification_list)
        self._hears(event, "N-SET done")
        return status, None

    def _set_now(self, uid: str, changes: Dataset) -> int:
        if uid not in self.items:
            return 0xC307
        if self.refusing:
            return self.refusing
        if self.state(uid) in ENDED:
            return 0xC300
        if self.state(uid) == SCHEDULED:
            return 0xC310
        if str(changes.get("TransactionUID") or "") != self.performers[uid]:
            return 0xC301
        del changes.TransactionUID
        (progress,) = changes.get("ProcedureStepProgressInformationSequence") or [Dataset()]
        self.told.append(str(progress.get("ProcedureStepProgress", "-")))
        self.items[uid].update(changes)
        return 0

    def _act(self, event: Event) -> tuple[int, Dataset | None]:
        request = cast(N_ACTION, event.request)
        uid, information = str(request.RequestedSOPInstanceUID), event.action_information
        asked = str(information.get("ProcedureStepState") or "subscription")
        if self._hears(event, asked):
            return 0x0110, None
        self.requests.append(asked)
        if request.ActionTypeID == 3:
            self.subscribed[uid] = str(information.ReceivingAE)
            status = 0
        else:
            status = self._change(uid, asked, str(information.get("TransactionUID") or ""))
        self._hears(event, f"{asked} done")
        return status, None

    def _change(self, uid: str, asked: str, transaction_uid: str) -> int:
        if uid not in self.items:
            return 0xC307
        if self.refusing:
            return self.refusing
        ds = self.items[uid]
        status = ACTIONS.get((self.state(uid), asked), 0xC303)
        if status:
            return status
        if asked == IN_PROGRESS:
            self.performers[uid] = transaction_uid
        elif transaction_uid != self.performers[uid]:
            return 0xC301
        elif not FINAL[asked](ds):
            return 0xC304
        ds.ProcedureStepState = asked
        return 0


MATCHED = (
    "ProcedureStepState",
    "InputReadinessState",
    "ScheduledWorkitemCodeSequence",
    "ScheduledStationNameCodeSequence",
)


def _matches(ds: Dataset, keys: Dataset, name: str) -> bool:
    wanted = keys.get(name)
    if not wanted:
        return True
    if isinstance(wanted, str):
        return bool(ds[name].value == wanted)
    return any(has.CodeValue == wanted[0].CodeValue for has in ds[name].value)


def _shown(ds: Dataset, tags: Sequence[int]) -> Dataset:
    """The attributes that were asked for, as far as there are any; never the Transaction UID."""
    shown = Dataset()
    for tag in tags:
        if Tag(tag) in ds:
            shown[tag] = ds[tag]
    return shown


def _is_performed(ds: Dataset) -> bool:
    """Tell whether a work item may be COMPLETED: what has P in PS3.4 Table CC.2.5-3 has values."""
    steps = ds.get("UnifiedProcedureStepPerformedProcedureSequence") or ()
    return len(steps) == 1 and all(
        steps[0].get(name)
        for name in (
            "PerformedStationNameCodeSequence",
            "PerformedWorkitemCodeSequence",
            "PerformedProcedureStepStartDateTime",
            "PerformedProcedureStepEndDateTime",
            "OutputInformationSequence",
        )
    )


def _is_discontinued(ds: Dataset) -> bool:
    """Tell whether a work item may be CANCELED: what has X there has values."""
    told = ds.get("ProcedureStepProgressInformationSequence") or ()
    return len(told) == 1 and all(
        told[0].get(name)
        for name in (
            "ProcedureStepCancellationDateTime",
            "ProcedureStepDiscontinuationReasonCodeSequence",
        )
    )


FINAL = {COMPLETED: _is_performed, CANCELED: _is_discontinued}
