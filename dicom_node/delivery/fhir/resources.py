"""Write a report as FHIR R4B resources: a preliminary DiagnosticReport and its Observations.

Patient and ImagingStudy are named by their identifiers (logical references): they are others'
resources. A later report on the same images takes the place of the earlier one on the server,
which keeps it as an earlier version. Shaped after IHE IMR (RAD-141), which is not claimed: nobody
has signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from pydicom.sr.coding import Code

from dicom_node.delivery.report_content import TRACKING_IDENTIFIER, ReportContent, Statement

Resource = dict[str, Any]

SYSTEMS: Mapping[str, str] = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
}
"""DICOM coding scheme designator to the URI of the code system (PS3.16 table 8-1)."""
DICOM_UID = "urn:dicom:uid"
TABLE_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
TABLE_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"
NOT_ANALYSED = "NOT-ANALYSED"  #: code of the title of a notice
SENTENCE, FINDING, FINDING_SITE = "SENTENCE", "121071", "363698007"
WHOLE = Code("121070", "DCM", "Findings")  #: what is said of the whole series
ID_LENGTH = 48  #: characters; an id has 64 at most


def resources(report: ReportContent) -> list[Resource]:
    """Write the DiagnosticReport, then its Observations; references among them are relative."""
    observations = [
        _observation(report, group, list(statements))
        for group, statements in groupby(
            sorted(report.statements, key=lambda one: one.group), key=lambda one: one.group
        )
    ]
    return [_diagnostic_report(report, observations), *observations]


def transaction(made: Sequence[Resource], superseded: Iterable[str], base: str) -> Resource:
    """Put resources into one transaction, which takes away what they supersede.

    Parameters
    ----------
    superseded
        Relative references of Observations on the server that are not ours any more.
    base
        Base URL of the server, by which relative references are resolved.
    """
    entries: list[Resource] = [
        {
            "fullUrl": f"{base}/{name_of(one)}",
            "resource": one,
            "request": {"method": "PUT", "url": name_of(one)},
        }
        for one in made
    ]
    kept = {name_of(one) for one in made}
    entries += [
        {"request": {"method": "DELETE", "url": name}} for name in superseded if name not in kept
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def name_of(resource: Resource) -> str:
    """Name a resource by its relative reference."""
    return f"{resource['resourceType']}/{resource['id']}"


def report_id(report: ReportContent) -> str:
    """Give the id of the DiagnosticReport: the same for every report of ours on the same images.

    Another installation has another, also for the same images.
    """
    about = f"{report.creator_uid} {report.series_instance_uid or report.sop_instance_uid}"
    return hashlib.sha256(about.encode()).hexdigest()[:ID_LENGTH]


def _diagnostic_report(report: ReportContent, observations: Sequence[Resource]) -> Resource:
    is_notice = report.title.value == NOT_ANALYSED
    said = [one for one in report.statements if one.text and one.group == 0]
    sentence = next((one.text for one in said if one.name.value == SENTENCE), "")
    conclusion = sentence or (" ".join(one.text for one in said) if is_notice else "")
    return _without_empty(
        {
            "resourceType": "DiagnosticReport",
            "id": report_id(report),
            "identifier": [
                {"system": DICOM_UID, "value": f"urn:oid:{report.sop_instance_uid}"},
                *_accession(report),
            ],
            "status": "cancelled" if is_notice else "preliminary",
            "category": [
                {"coding": [{"system": TABLE_0074, "code": "RAD", "display": "Radiology"}]}
            ],
            "code": _concept(report.procedure),
            "subject": _subject(report),
            "effectiveDateTime": _time(report.studied_at),
            "issued": _instant(report.made_at),
            "imagingStudy": [_imaging_study(report)],
            "result": [{"reference": name_of(one)} for one in observations],
            "conclusion": conclusion,
        }
    )


def _observation(report: ReportContent, group: int, statements: Sequence[Statement]) -> Resource:
    """Write what is said of one thing: of the series, a lung, an opacity."""
    values = {one.name.value: one.value for one in statements if one.value is not None}
    tracking = [one.text for one in statements if one.name.value == TRACKING_IDENTIFIER]
    apart = {FINDING, FINDING_SITE, TRACKING_IDENTIFIER}
    return _without_empty(
        {
            "resourceType": "Observation",
            "id": f"{report_id(report)}-{group}",
            "status": "preliminary",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "imaging",
                            "display": "Imaging",
                        }
                    ]
                }
            ],
            "code": _concept(values.get(FINDING) or WHOLE, *tracking),
            "subject": _subject(report),
            "effectiveDateTime": _time(report.studied_at),
            "issued": _instant(report.made_at),
            "bodySite": _concept(site) if (site := values.get(FINDING_SITE)) else None,
            "device": {"display": f"{report.equipment} {report.software}".strip()},
            "derivedFrom": [_imaging_study(report)],
            "component": [_component(one) for one in statements if one.name.value not in apart],
        }
    )


def _component(statement: Statement) -> Resource:
    code = {"code": _concept(statement.name)}
    if statement.unit is not None:
        quantity = {
            "value": float(statement.number),
            "unit": statement.unit.meaning,
            "system": _system(statement.unit),
            "code": statement.unit.value,
        }
        return {**code, "valueQuantity": quantity}
    if statement.value is not None:
        return {**code, "valueCodeableConcept": _concept(statement.value)}
    return {**code, "valueString": statement.text}


def _concept(code: Code, text: str = "") -> Resource:
    coding = {"system": _system(code), "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": text or code.meaning}


def _system(code: Code) -> str:
    known = SYSTEMS.get(code.scheme_designator)
    return known or f"urn:dicom-node:scheme:{code.scheme_designator}"


def _subject(report: ReportContent) -> Resource:
    identifier = {
        "type": {"coding": [{"system": TABLE_0203, "code": "MR"}]},
        "value": report.patient.id,
        "assigner": {"display": report.patient.issuer} if report.patient.issuer else None,
    }
    return {"type": "Patient", "identifier": _without_empty(identifier)}


def _accession(report: ReportContent) -> list[Resource]:
    if not report.accession_number:
        return []
    kind = {"coding": [{"system": TABLE_0203, "code": "ACSN"}]}
    return [{"type": kind, "value": report.accession_number}]


def _imaging_study(report: ReportContent) -> Resource:
    uid = f"urn:oid:{report.study_instance_uid}"
    return {"type": "ImagingStudy", "identifier": {"system": DICOM_UID, "value": uid}}


def _without_empty(resource: Mapping[str, Any]) -> Resource:
    """Leave out what has no value: FHIR knows no empty one."""
    return {name: value for name, value in resource.items() if value not in (None, "", [], {})}


def _time(moment: datetime | None) -> str:
    """Write a date with its time, which needs a zone; without one the date alone."""
    if moment is None:
        return ""
    return moment.isoformat() if moment.tzinfo else f"{moment:%Y-%m-%d}"


def _instant(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None and moment.tzinfo else ""
