"""A series whose summary and report are kept, and due at an information system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from dicom_node.identity_key import keyed
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.result.kinds import MAIN_DOCUMENTS, SUBSTITUTES
from pipeline.encode.seg.segmentation import segmentation
from pipeline.encode.sr.report import report
from storage.database.sessions import Sessions
from storage.delivery.outbox import keep_results
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.results.kept_results import NewObject, NewResult
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import migrated_database
from tests.support.results_due import CT, START, Hands, capture
from tests.support.samples.encode_samples import analysis, context, ct_series


def measured(**identity: object) -> Dataset:
    """A report of measurements; `identity` sets attributes of its images."""
    series, found, chosen = ct_series(**identity), analysis(), context()
    return report(series, found, chosen, segmentation(series, found, chosen))


def write_report(path: Path, **identity: object) -> Dataset:
    """Write a report of measurements as a file."""
    made = measured(**identity)
    path.write_bytes(part10(made))
    return made


def store_with_report(folder: Path, clock: Hands, name: str) -> Resources:
    """Make a store in which a result is due at the information system `name`, documents alone."""
    folder.mkdir(exist_ok=True)
    database = migrated_database(folder)
    storage = StorageFolder(folder, 0)
    draw_installation(folder)
    resources = keyed(
        Resources(sessions=Sessions(database, substitutes=SUBSTITUTES), folder=storage, clock=clock)
    )
    document = measured()
    files = {"a.dcm": part10(capture("2.25.101")), "b.dcm": part10(document)}
    kept = resources.folder.keep_result("k1", files)
    objects = [
        _object("2.25.101", "summary", f"{kept}/a.dcm"),
        _object(document.SOPInstanceUID, "report", f"{kept}/b.dcm"),
    ]
    result = NewResult(key="k1", model="m", score=0.9, positive=True, summary="{}", folder=kept)
    with resources.sessions.begin() as session:
        record_instance(session, CT, START)
        close(session, receiving(session)[0], START)
        ticket = claim_next(session, START)
        assert ticket is not None
        kinds = frozenset(map(str, MAIN_DOCUMENTS))
        keep_results(session, ticket, result, objects, destinations={name: kinds}, now=START)
    return resources


def keep_later_report(resources: Resources, name: str, key: str) -> None:
    """Keep a later result of the same series, due at the information system `name`."""
    document = measured()
    document.SOPInstanceUID = f"2.25.20{key[1:]}"
    kept = resources.folder.keep_result(key, {"b.dcm": part10(document)})
    made = NewResult(key=key, model="m", score=0.1, positive=False, summary="{}", folder=kept)
    objects = [_object(document.SOPInstanceUID, "report", f"{kept}/b.dcm")]
    with resources.sessions.begin() as session:
        another = replace(CT, sop_instance_uid=f"2.25.{key[1:]}1", path=f"incoming/{key}")
        record_instance(session, another, START)
        close(session, receiving(session)[0], START)
        ticket = claim_next(session, START)
        assert ticket is not None
        keep_results(session, ticket, made, objects, destinations=[name], now=START)


def _object(uid: str, kind: str, path: str) -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind=kind,
        sop_class_uid=str(Comprehensive3DSRStorage),
        series_instance_uid="2.25.9",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )
