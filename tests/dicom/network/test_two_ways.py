"""One series that comes by C-STORE and by STOW-RS at the same time is one series, kept once."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from sqlalchemy import select

from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.server import StowReceiver
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Instance, Series
from tests.dicom.test_store_scp import send
from tests.support.reception import Reception, open_resources, running_receiver

SLICES = 12


def part10(ds: Dataset) -> bytes:
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def post(address: tuple[str, int], slices: list[Dataset]) -> int:
    parts = b"".join(b"\r\n--b\r\n\r\n" + part10(ds) for ds in slices)
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    url = f"http://{address[0]}:{address[1]}/studies"
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(url, content=parts + b"\r\n--b--", headers=kind).status_code


@pytest.mark.database
def test_a_series_that_comes_by_two_ways_at_once_is_kept_once(tmp_path: Path) -> None:
    slices = phantom_datasets(make_phantom(PhantomSpec(slices=SLICES, size=32)), seed=3)
    resources = open_resources(tmp_path)
    with running_receiver(resources) as reception, ThreadPoolExecutor(4) as senders:
        stow = StowReceiver(
            token="",
            limits=Limits(request_bytes=10_000_000, silent_seconds=30),
            maximum_requests=4,
        )
        web = stow.listen(("127.0.0.1", 0), reception.ingest)
        posted = [senders.submit(post, web, slices) for _ in range(2)]
        stored = [senders.submit(send, reception.address, slices) for _ in range(2)]
        assert {one.result() for one in posted} == {200}
        assert {status for one in stored for status in one.result()} == {0x0000}
        stow.drain(deadline=time.monotonic() + 5)
        rows = instances_and_series(reception)

    instances, (series,) = rows
    assert sorted(row.sop_instance_uid for row in instances) == sorted(
        ds.SOPInstanceUID for ds in slices
    )
    assert not any(row.superseded for row in instances)
    assert (series.instances, series.generation) == (SLICES, 1)
    assert len(list(resources.folder.root.glob("incoming/*/*.dcm"))) == SLICES


def instances_and_series(reception: Reception) -> tuple[list[Instance], list[Series]]:
    instances = reception.instances()
    with reception.resources.sessions() as session:
        return instances, list(session.scalars(select(Series)))
