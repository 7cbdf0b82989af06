"""Audit messages as XML of the Audit Trail Message Format Profile (PS3.15 A.5).

Start and stop, instances received and results sent, exports, deletions, callers turned away,
settings changed while the node runs.
Studies are named by their UID; where instances are received, their patient by the Patient ID. A
message has no other data of a patient.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from xml.etree.ElementTree import Element, SubElement, tostring

Studies = Mapping[str, Mapping[str, int]]
"""Number of instances, by Study Instance UID and then by SOP Class UID."""


class Term(Enum):
    """Codes of the Coding Scheme DCM (PS3.16 Annex D), or of the one named third."""

    APPLICATION_ACTIVITY = "110100", "Application Activity"
    BEGIN_TRANSFERRING = "110102", "Begin Transferring DICOM Instances"
    INSTANCES_TRANSFERRED = "110104", "DICOM Instances Transferred"
    STUDY_DELETED = "110105", "DICOM Study Deleted"
    EXPORT = "110106", "Export"
    SECURITY_ALERT = "110113", "Security Alert"
    APPLICATION_START = "110120", "Application Start"
    APPLICATION_STOP = "110121", "Application Stop"
    NODE_AUTHENTICATION = "110126", "Node Authentication"
    SOFTWARE_CONFIGURATION = "110131", "Software Configuration"
    APPLICATION = "110150", "Application"
    DESTINATION = "110152", "Destination Role ID"
    SOURCE = "110153", "Source Role ID"
    DESTINATION_MEDIA = "110154", "Destination Media"
    STUDY_UID = "110180", "Study Instance UID"
    NODE_ID = "110182", "Node ID"
    PATIENT_NUMBER = "2", "Patient Number", "RFC-3881"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A participant of an event: a person, a process or a medium.

    Attributes
    ----------
    user
        AE title, or another name of the process; empty for the node itself.
    address
        IP address; empty if unknown.
    """

    user: str = ""
    role: Term | None = None
    is_requestor: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The subject of a Security Alert, a node, and a description for people."""

    subject: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event for the audit trail.

    Attributes
    ----------
    action
        C, R, U, D or E: create, read, update, delete, execute.
    failed
        Whether it is an attempt that did not succeed.
    studies
        The instances that it is about.
    patient_id
        Patient ID of those instances; empty if it is not known here.
    """

    what: Term
    action: str
    participants: tuple[Participant, ...]
    kind: Term | None = None
    failed: bool = False
    studies: Studies = field(default_factory=dict)
    patient_id: str = field(default="", repr=False)
    alert: Alert | None = None


def application(*, starts: bool) -> AuditEvent:
    """Make the event of a start or a stop of the node (PS3.15 A.5.3.1)."""
    return AuditEvent(
        what=Term.APPLICATION_ACTIVITY,
        kind=Term.APPLICATION_START if starts else Term.APPLICATION_STOP,
        action="E",
        participants=(Participant(role=Term.APPLICATION),),
    )


def begins_to_send(source: str, studies: Studies, *, patient_id: str = "") -> AuditEvent:
    """Make the event of a sender that begins to transfer instances to us (PS3.15 A.5.3.3)."""
    begun = _transferred(Participant(user=source), Participant(), studies, "E")
    return replace(begun, what=Term.BEGIN_TRANSFERRING, patient_id=patient_id)


def received(
    source: str, studies: Studies, *, again: bool = False, patient_id: str = ""
) -> AuditEvent:
    """Make the event of instances received (PS3.15 A.5.3.7); `again` if they were here before."""
    action = "R" if again else "C"
    event = _transferred(Participant(user=source), Participant(), studies, action)
    return replace(event, patient_id=patient_id)


def sent(destination: str, studies: Studies) -> AuditEvent:
    """Make the event of results sent and accepted (PS3.15 A.5.3.7)."""
    return _transferred(Participant(), Participant(user=destination), studies, "C")


def _transferred(
    source: Participant, destination: Participant, studies: Studies, action: str
) -> AuditEvent:
    return AuditEvent(
        what=Term.INSTANCES_TRANSFERRED,
        action=action,
        participants=(
            replace(source, role=Term.SOURCE, is_requestor=True),
            replace(destination, role=Term.DESTINATION),
        ),
        studies=studies,
    )


def exported(folder: str, studies: Studies, *, by: str = "") -> AuditEvent:
    """Make the event of instances copied into a folder, or downloaded (PS3.15 A.5.3.4).

    Parameters
    ----------
    by
        Who asked for it; empty if it is not known, then the node is named as who did.
    """
    asked = (Participant(user=by, is_requestor=True),) if by else ()
    return AuditEvent(
        what=Term.EXPORT,
        action="R",
        participants=(
            *asked,
            Participant(role=Term.SOURCE, is_requestor=not by),
            Participant(user=folder, role=Term.DESTINATION_MEDIA),
        ),
        studies=studies,
    )


def deleted(studies: Studies) -> AuditEvent:
    """Make the event of series removed for good (PS3.15 A.5.3.8)."""
    return AuditEvent(
        what=Term.STUDY_DELETED,
        action="D",
        participants=(Participant(is_requestor=True),),
        studies=studies,
    )


def turned_away(caller: str, address: str, *, reason: str, times: int = 1) -> AuditEvent:
    """Make the event of a caller that was turned away (Security Alert, PS3.15 A.5.3.11)."""
    return AuditEvent(
        what=Term.SECURITY_ALERT,
        kind=Term.NODE_AUTHENTICATION,
        action="E",
        failed=True,
        participants=(
            Participant(),
            Participant(user=caller or address, is_requestor=True, address=address),
        ),
        alert=Alert(
            subject=address or caller,
            description=reason if times == 1 else f"{reason} ({times} times)",
        ),
    )


def settings_changed(settings: Sequence[str], *, by: str) -> AuditEvent:
    """Make the event of settings that count from now on (Security Alert, PS3.15 A.5.3.11).

    Parameters
    ----------
    settings
        Their names; a value may be a secret.
    by
        Who changed them.
    """
    return AuditEvent(
        what=Term.SECURITY_ALERT,
        kind=Term.SOFTWARE_CONFIGURATION,
        action="E",
        participants=(Participant(), Participant(user=by, is_requestor=True)),
        alert=Alert(subject="settings", description=", ".join(settings)),
    )


def to_xml(event: AuditEvent, at: datetime, source: str) -> bytes:
    """Encode an event as an AuditMessage (PS3.15 A.5.1).

    Parameters
    ----------
    source
        The reporting application: our AE title.
    """
    message = Element("AuditMessage")
    head = SubElement(
        message,
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator="4" if event.failed else "0",
    )
    _code(head, "EventID", event.what)
    if event.kind is not None:
        _code(head, "EventTypeCode", event.kind)
    for participant in event.participants:
        _participant(message, replace(participant, user=participant.user or source))
    SubElement(message, "AuditSourceIdentification", AuditSourceID=source)
    for study, classes in event.studies.items():
        _study(message, study, classes)
    if event.patient_id:
        _patient(message, event.patient_id)
    if event.alert is not None:
        _alert(message, event.alert)
    return bytes(tostring(message, encoding="utf-8", xml_declaration=True))


def _participant(message: Element, participant: Participant) -> None:
    attributes = {
        "UserID": participant.user,
        "UserIsRequestor": str(participant.is_requestor).lower(),
    }
    if participant.address:
        attributes |= {
            "NetworkAccessPointID": participant.address,
            "NetworkAccessPointTypeCode": "2",
        }
    element = SubElement(message, "ActiveParticipant", attributes)
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)


def _study(message: Element, uid: str, classes: Mapping[str, int]) -> None:
    """Add a study: a system object (2) that is a report (3), as the standard defines it."""
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=uid,
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="3",
    )
    _code(element, "ParticipantObjectIDTypeCode", Term.STUDY_UID)
    SubElement(element, "ParticipantObjectName").text = "study"  # the schema asks for one
    description = SubElement(element, "ParticipantObjectDescription")
    for sop_class, count in sorted(classes.items()):
        SubElement(description, "SOPClass", UID=sop_class, NumberOfInstances=str(count))


def _patient(message: Element, patient_id: str) -> None:
    """Add the patient: a person (1) in the role of a patient (1), PS3.15 A.5.3.7."""
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=patient_id,
        ParticipantObjectTypeCode="1",
        ParticipantObjectTypeCodeRole="1",
    )
    _code(element, "ParticipantObjectIDTypeCode", Term.PATIENT_NUMBER)
    SubElement(element, "ParticipantObjectName").text = "patient"  # the schema asks for one


def _alert(message: Element, alert: Alert) -> None:
    """Add the subject of an alert: a node, a system object (2), a security resource (13)."""
    element = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=alert.subject,
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="13",
    )
    _code(element, "ParticipantObjectIDTypeCode", Term.NODE_ID)
    SubElement(element, "ParticipantObjectName").text = alert.subject
    described = b64encode(alert.description.encode()).decode()
    SubElement(element, "ParticipantObjectDetail", type="Alert Description", value=described)


def _code(parent: Element, name: str, term: Term) -> None:
    code, meaning, *scheme = term.value
    system = scheme[0] if scheme else "DCM"
    SubElement(parent, name, {"csd-code": code, "codeSystemName": system, "originalText": meaning})
