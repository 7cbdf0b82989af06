"""A receiver in this process with real resources, and instances to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.peers.wire_client import STORE_CONTEXT, packed, store_request, values
from tests.support.reception import Reception, open_resources, running_receiver


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Reception]:
    with running_receiver(open_resources(tmp_path), require_called_ae=False) as reception:
        yield reception


@pytest.fixture(scope="module")
def slices() -> list[bytes]:
    """Data sets of a phantom, as they go over the wire."""
    return [body_of(ds) for ds in phantom()]


def phantom() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=40, size=32)), seed=3)


def uid_of(number: int) -> str:
    """SOP Instance UIDs of one length, so that one takes another's place in a data set."""
    return f"1.2.3.{10**12 + number}"


def body_of(ds: Dataset) -> bytes:
    """The data set alone, as it goes over the wire, to be numbered by `stored`."""
    ds.SOPInstanceUID = uid_of(0)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return bytes(buffer.getvalue())


def stored(body: bytes, number: int) -> bytes:
    """One C-STORE request, for an instance of that number."""
    request = values(STORE_CONTEXT, 1, store_request(uid_of(number), 1), [90])
    numbered = body.replace(uid_of(0).encode(), uid_of(number).encode())
    return packed([*request, *values(STORE_CONTEXT, 0, numbered, [900])], [2])
