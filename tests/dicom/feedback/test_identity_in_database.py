"""Nothing of who a patient is can be read, or found by trying, in the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from dicom_node.maintenance.stored_data import erase
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.series.sop_classes import CT_CLASSES, DOCUMENT_CLASSES
from storage.database.engine import open_database
from storage.database.schema import Base, Feedback, Series
from storage.series.lifecycle import close, receiving
from storage.series.search import series_of_accession, series_of_patient
from tests.dicom.feedback.test_reception import send
from tests.support.databases import database_url
from tests.support.dispatcher_samples import RESULT, Workers, dispatcher
from tests.support.reception import open_resources, running_receiver
from tests.support.results_due import START
from tests.support.samples import feedback_documents as documents
from tests.support.samples.encode_samples import SeriesSpec, ct_series
from tests.unit.dicom_node.maintenance.test_retention import deliver

pytestmark = pytest.mark.database

WHO = {
    "PatientID": "P-4711",
    "IssuerOfPatientID": "Haus-9",
    "PatientName": "Muster^Mia",
    "PatientBirthDate": "19600101",
    "AccessionNumber": "A-7700",
}


def identify(ds: Dataset) -> Dataset:
    for name, value in WHO.items():
        setattr(ds, name, value)
    return ds


def forbidden() -> list[str]:
    """Each value, and what is found of it by trying values."""
    patient = json.dumps([WHO["PatientID"], WHO["IssuerOfPatientID"]])
    texts = [*WHO.values(), patient]
    return [*texts, *(hashlib.sha256(text.encode()).hexdigest() for text in texts)]


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A patient's CT series received and analysed, another not analysed, and an answer."""
    resources = open_resources(tmp_path)
    images = [identify(ds) for ds in ct_series(SeriesSpec(shape=(3, 16, 24))).headers]
    note = identify(documents.rejection([documents.named("2.25.100", "2.25.9")]))
    with running_receiver(resources, sop_classes=(*CT_CLASSES, *DOCUMENT_CLASSES)) as reception:
        sent = [_sendable(ds) for ds in images]
        assert send(reception.address, [*sent, note]) == [0x0000] * 4
        reception.index.wait_until_written()
    with resources.sessions.begin() as session:
        for series in receiving(session):
            close(session, series, START)
    running = dispatcher(resources, Workers(RESULT), wanted="all")
    running.dispatch()
    running.dispatch()
    return resources


def _sendable(ds: Dataset) -> Dataset:
    return dcmread(BytesIO(part10(ds)))


def texts_of(resources: Resources) -> Iterator[str]:
    with resources.sessions() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)):
                yield from (str(value) for value in row)


def test_no_value_and_no_plain_digest_of_one_is_kept(resources: Resources, tmp_path: Path) -> None:
    with resources.sessions() as session:
        assert session.scalar(select(Feedback.patient_digest))
        kept = set(session.scalars(select(Series.accession_key)))
    assert kept == {resources.identity_key.digest(WHO["AccessionNumber"])}
    cells = list(texts_of(resources))
    for word in forbidden():
        assert not [cell for cell in cells if word in cell]
    resources.close()
    if (file := tmp_path / "node.sqlite").exists():
        content = file.read_bytes()
        assert not [word for word in forbidden() if word.encode() in content]


def test_a_patient_and_a_study_are_found_by_the_key(resources: Resources) -> None:
    key = resources.identity_key
    with resources.sessions() as session:
        found = series_of_accession(session, key.digest(WHO["AccessionNumber"]))
        assert len(found) == 2  # images and note
        assert series_of_patient(session, key.digest(WHO["PatientID"])) == found
        assert series_of_accession(session, hashlib.sha256(b"A-7700").hexdigest()) == []


def test_what_is_erased_is_not_left_in_the_file(resources: Resources, tmp_path: Path) -> None:
    """SQLite leaves deleted rows in the free parts of its pages unless it is told otherwise."""
    key = resources.identity_key
    deliver(resources)
    with resources.sessions() as session:
        uids = list(session.scalars(select(Series.series_instance_uid)))
    erase(resources, uids)
    cells = list(texts_of(resources))
    digests = [key.digest(WHO[name]) for name in ("PatientID", "AccessionNumber")]
    for digest in digests:
        assert not [cell for cell in cells if digest in cell]
    resources.close()
    if (file := tmp_path / "node.sqlite").exists():
        content = file.read_bytes()
        assert not [digest for digest in digests if digest.encode() in content]
        with closing(open_database(database_url(tmp_path)).raw_connection()) as connection:
            assert connection.cursor().execute("PRAGMA secure_delete").fetchone() == (1,)
