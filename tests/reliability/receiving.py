"""A receiver in this process with a real store, and instances to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.store_scp import Receiver
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import migrate, open_database
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder
from tests.support.wire_client import STORE_CONTEXT, packed, store_request, values


@dataclass
class Running:
    address: tuple[str, int]
    resources: Resources
    index: IndexWriter


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    database = open_database(f"sqlite:///{tmp_path / 'node.sqlite'}")
    migrate(database)
    resources = Resources(
        sessions=Sessions(database, substitutes=SUBSTITUTES), folder=StorageFolder(tmp_path, 0)
    )
    index = IndexWriter(resources.sessions)
    index.start()
    receiver = Receiver(
        ae_title="AINODE",
        callers=AllowedCallers(),
        require_called_ae=False,
        maximum_associations=100,
        maximum_pdu_size=131072,
        network_timeout_seconds=10,  # on a busy machine the test's own senders pause for seconds
    )
    address = receiver.listen(("127.0.0.1", 0), InstanceIngest(resources, index))
    yield Running(address, resources, index)
    receiver.drain(seconds=5)
    index.stop()


@pytest.fixture(scope="module")
def slices() -> list[bytes]:
    """Data sets of a phantom, as they go over the wire."""
    return [body_of(ds) for ds in phantom()]


def phantom() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=40, size=32)), seed=3)


def body_of(ds: Dataset) -> bytes:
    """The data set alone, as it goes over the wire."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return bytes(buffer.getvalue())


def stored(body: bytes, number: int) -> bytes:
    """One C-STORE request."""
    request = values(STORE_CONTEXT, 1, store_request(f"1.2.{number}", 1), [90])
    return packed([*request, *values(STORE_CONTEXT, 0, body, [900])], [2])
