"""Documents in which readers answer to results, made with highdicom as a PACS would make them."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

QUALITY = Code("113001", "DCM", "Rejected for Quality Reasons")
SAFETY = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
EXPIRED = Code("113039", "DCM", "Data Retention Policy Expired")
OF_INTEREST = Code("113000", "DCM", "Of Interest")
REVOKED = Code("REVOKE_REJECTION", "99DCM4CHEE", "Restore rejected Instances")
READER = "Leser^Lea"
CONTAINS = sr.RelationshipTypeValues.CONTAINS


def named(
    sop_instance_uid: str,
    series_instance_uid: str,
    sop_class: str = hd.UID("1.2.840.10008.5.1.4.1.1.88.34"),
) -> Dataset:
    """An object of a result, as far as a document names it; identity of a phantom."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.3", series_instance_uid
    ds.PatientID, ds.PatientName = "P-1", "Muster^Mia"
    ds.PatientBirthDate, ds.PatientSex = "19600101", "F"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "S1", "A-77", "Arzt^Anna"
    ds.StudyDate, ds.StudyTime = "20261122", "093000"
    return ds


def observer(name: str = READER) -> sr.ObserverContext:
    return sr.ObserverContext(
        observer_type=Code("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
            name=name, role_in_organization=Code("309343006", "SCT", "Physician")
        ),
    )


def rejection(
    objects: Sequence[Dataset],
    *,
    title: Code = QUALITY,
    description: str | None = "Lung is cut off",
    uid: str | None = None,
) -> Dataset:
    """A rejection note of IHE IOCM."""
    content = hd.ko.KeyObjectSelection(
        document_title=title,
        referenced_objects=list(objects),
        observer_person_context=observer(),
        description=description,
    )
    return hd.ko.KeyObjectSelectionDocument(
        evidence=list(objects),
        content=content,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=UID(uid or generate_uid()),
        instance_number=1,
        manufacturer="PACS",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _code(value: str, meaning: str) -> Code:
    return Code(value, "99PACS", meaning)


def decision(answer: str, *, meaning: str | None = None) -> sr.CodeContentItem:
    return sr.CodeContentItem(
        _code("AIRA-010", "Assessment Decision"),
        _code(f"AIRA-{answer.upper()}", meaning or f"AI Result {answer.capitalize()}ed"),
        CONTAINS,
    )


def reason(meaning: str) -> sr.CodeContentItem:
    return sr.CodeContentItem(_code("AIRA-050", "Rejection Reason"), _code("R1", meaning), CONTAINS)


def comment(words: str) -> sr.TextContentItem:
    return sr.TextContentItem(_code("AIRA-030", "Assessment Comment"), words, CONTAINS)


def of_finding(tracking_uid: str, *content: sr.ContentItem) -> sr.ContainerContentItem:
    """The container of one finding."""
    group = sr.ContainerContentItem(_code("F", "Assessed finding"), relationship_type=CONTAINS)
    group.ContentSequence = sr.ContentSequence(
        [
            sr.UIDRefContentItem(
                Code("112040", "DCM", "Tracking Unique Identifier"),
                tracking_uid,
                sr.RelationshipTypeValues.CONTAINS,
            ),
            *content,
        ]
    )
    return group


def assessment(
    objects: Sequence[Dataset],
    *content: sr.ContentItem,
    title: str = "AI Result Assessment",
    reader: str = READER,
    predecessors: Sequence[Dataset] = (),
    uid: str | None = None,
) -> Dataset:
    """An assessment report in the manner of IHE AIRA."""
    root = sr.ContainerContentItem(_code("AIRA-001", title))
    root.ContentSequence = sr.ContentSequence(
        [*sr.ObservationContext(observer_person_context=observer(reader)), *content]
    )
    return hd.sr.Comprehensive3DSR(
        evidence=list(objects),
        content=root,
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=UID(uid or generate_uid()),
        instance_number=1,
        manufacturer="PACS",
        is_complete=True,
        previous_versions=list(predecessors) or None,
        record_evidence=True,
    )
