"""A small series that is received and closed, and the notices sent for it."""

from __future__ import annotations

from collections.abc import Callable

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from sqlalchemy import select

from dicom_node.reception.header import facts, read_header
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from storage.database.schema import ResultObject
from storage.series.instances import record_instance
from storage.series.lifecycle import close, receiving
from tests.support.dispatcher_samples import NOW
from tests.support.samples.encode_samples import SeriesSpec, ct_series

STUDY, SERIES = "1.2.3.1", "1.2.3.2"


def receive(
    resources: Resources,
    *,
    change: Callable[[list[Dataset]], None] = lambda _: None,
    **identity: str,
) -> None:
    """Have three slices kept and indexed, and their series closed."""
    with disable_value_validation():
        headers = list(ct_series(SeriesSpec(shape=(3, 16, 24)), **identity).headers)
    change(headers)
    for number, header in enumerate(headers):
        kept = resources.folder.keep(
            [part10(header)], name_from=f"{header.SeriesInstanceUID} {number}"
        )
        written = read_header(resources.folder.locate(kept.path))
        found = facts(written, kept, resources.identity_key, calling_ae="SCANNER")
        with resources.sessions.begin() as session:
            record_instance(session, found, NOW)
    with resources.sessions.begin() as session:
        for quiet in receiving(session):
            close(session, quiet, NOW)


def notices(resources: Resources) -> list[Dataset]:
    with resources.sessions() as session:
        kept = session.scalars(select(ResultObject.path).where(ResultObject.kind == "notice")).all()
    return [dcmread(resources.folder.locate(path)) for path in kept]
