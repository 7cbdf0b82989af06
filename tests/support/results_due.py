"""An analysed series whose results are due at the destination PACS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import select

from dicom_node.identity_key import keyed
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import Delivery
from storage.database.sessions import Sessions
from storage.delivery.outbox import keep_results
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.overview import overview
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import migrated_database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STUDY, SERIES = "2.25.3", "2.25.9"
UIDS = ("2.25.101", "2.25.102", "2.25.103")

CT = InstanceFacts(
    sop_instance_uid="2.25.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="2.25.2",
    study_instance_uid=STUDY,
    transfer_syntax_uid=str(ExplicitVRLittleEndian),
    modality="CT",
    calling_ae="SCANNER",
    path="incoming/00/x.dcm",
    digest="0" * 64,
    bytes=1,
)


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def capture(uid: str, series: str = SERIES) -> Dataset:
    """One result, as small as can be."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, series
    return ds


def store_with_results(
    folder: Path,
    clock: Hands,
    uids: Sequence[str] = UIDS,
    *,
    series: Sequence[str] = (),
    key: str = "k1",
) -> Resources:
    """Make a store whose results are due; all of one series, or each of one that is given."""
    series = series or [SERIES] * len(uids)
    database = migrated_database(folder)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    storage = StorageFolder(folder, 0)
    draw_installation(folder)
    resources = keyed(Resources(sessions=sessions, folder=storage, clock=clock))
    results = list(zip(uids, series, strict=True))
    files = {f"{uid}.dcm": part10(capture(uid, of)) for uid, of in results}
    kept = resources.folder.keep_result(key, files)
    result = NewResult(key=key, model="m", score=0.5, positive=True, summary="{}", folder=kept)
    objects = [_new_object(uid, of, f"{kept}/{uid}.dcm") for uid, of in results]
    with resources.sessions.begin() as session:
        record_instance(session, CT, START)
        close(session, receiving(session)[0], START)
        ticket = claim_next(session, START)
        assert ticket is not None
        keep_results(session, ticket, result, objects, destinations=["PACS"], now=START)
    return resources


def _new_object(uid: str, series: str, path: str) -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind="heatmap",
        sop_class_uid=SecondaryCaptureImageStorage,
        series_instance_uid=series,
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )


def standing(resources: Resources) -> tuple[str, list[str], str]:
    """State of the series, states of its deliveries, and the reason."""
    with resources.sessions() as session:
        (series,) = overview(session).series
        rows = session.scalars(select(Delivery).order_by(Delivery.id))
        return str(series.state), [str(row.state) for row in rows], series.reason
