"""Reception and analysis in this process, from the wire to the end state, without the networks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from sqlalchemy import select

from dicom_node.analysis.worker import series_task
from dicom_node.analysis.worker.inputs import source_digest
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    AnalysisResult,
)
from dicom_node.closing.policy import ClosingPolicy
from dicom_node.closing.series_closer import SeriesCloser
from dicom_node.closing.series_watch import SeriesWatch
from dicom_node.network.status_codes import SUCCESS
from storage.database.schema import Instance, Series
from tests.support.dispatcher_samples import RESULT, AnsweringWorkers, dispatcher
from tests.support.peers.wire_client import (
    EXPLICIT,
    STORE_CONTEXT,
    WireClient,
    packed,
    store_request,
    values,
)
from tests.support.reception import Reception

FRAGMENT_BYTES = 16_000
PER_PDU = 4
QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One C-STORE request: what it says of the instance, and the data set."""

    uid: str
    body: bytes

    @property
    def stream(self) -> bytes:
        command = values(STORE_CONTEXT, 1, store_request(self.uid, 1), [FRAGMENT_BYTES])
        data = values(STORE_CONTEXT, 0, self.body, [FRAGMENT_BYTES])
        return packed([*command, *data], [PER_PDU])


def message(ds: Dataset, syntax: str = EXPLICIT) -> Message:
    """An instance as an honest sender would send it."""
    buffer = DicomBytesIO()
    buffer.is_little_endian = UID(syntax).is_little_endian
    buffer.is_implicit_VR = UID(syntax).is_implicit_VR
    write_dataset(buffer, ds)
    return Message(uid=str(ds.file_meta.MediaStorageSOPInstanceUID), body=bytes(buffer.getvalue()))


@contextmanager
def association(running: Reception, syntax: str = EXPLICIT) -> Iterator[WireClient]:
    with WireClient(running.address, seconds=60) as client:
        assert client.associate(syntax) == 2
        yield client
        assert client.release() == 6


def store_all(client: WireClient, messages: Iterable[Message]) -> list[int]:
    statuses = []
    for message in messages:
        client.send(message.stream)
        statuses.append(int.from_bytes(client.answer().elements[0x0900], "little"))
    return statuses


def send(running: Reception, messages: Iterable[Message], syntax: str = EXPLICIT) -> list[int]:
    with association(running, syntax) as client:
        return store_all(client, messages)


def lost(running: Reception, messages: list[Message], statuses: list[int]) -> list[str]:
    """UIDs of what was answered with Success, and is not kept as it was sent, with its row."""
    running.index.wait_until_written()
    with running.resources.sessions() as session:
        rows = session.execute(select(Instance.sop_instance_uid, Instance.path)).all()
    kept = {(row.sop_instance_uid, running.resources.folder.locate(row.path)) for row in rows}
    bytes_of = {(uid, path.read_bytes()) for uid, path in kept}
    return [
        message.uid
        for message, status in zip(messages, statuses, strict=True)
        if status == SUCCESS
        and not any(uid == message.uid and data.endswith(message.body) for uid, data in bytes_of)
    ]


class NetworksReached(Exception):
    """Reading, eligibility and assembly let the series through."""


def invented(request: AnalysisRequest) -> Analysed:
    """A result of its own for each set of instances."""
    key = source_digest(request)
    number = int.from_bytes(key.encode()[:12])
    objects = [
        replace(result_object, sop_instance_uid=f"2.25.{number + place}")
        for place, result_object in enumerate(RESULT.objects)
    ]
    return replace(RESULT, key=key, objects=tuple(objects))


def stop_at_networks(stage: str, share: float | None) -> None:
    del share
    if stage == "lungs":
        raise NetworksReached


def answer(request: AnalysisRequest) -> AnalysisResult | Exception:
    """Do all that a worker does, up to the networks; then invent a result."""
    try:
        return series_task.results_of(request, stop_at_networks)
    except NetworksReached:
        return invented(request)
    except Exception as fault:  # noqa: BLE001  # what the engine hands to the dispatcher
        return fault


def close_quiet(running: Reception) -> None:
    """Declare complete what has been quiet, as if the quiet time had passed."""
    running.index.wait_until_written()
    later = running.resources.clock() + timedelta(seconds=QUIET_SECONDS)
    closer = SeriesCloser(
        replace(running.resources, clock=lambda: later),
        ClosingPolicy(quiet_seconds=QUIET_SECONDS / 2),
        wake=lambda: None,
        watch=SeriesWatch(steady=iter([0.0, QUIET_SECONDS]).__next__),
    )
    for _ in range(2):
        closer.run_once()


def ends(running: Reception, workers: AnsweringWorkers | None = None) -> dict[str, str]:
    """Close and analyse every series; its UID to its end state, and the reason."""
    close_quiet(running)
    dispatcher(running.resources, workers or AnsweringWorkers(answer), attempts=1).dispatch()
    with running.resources.sessions() as session:
        rows = session.execute(select(Series.series_instance_uid, Series.state, Series.reason))
        return {uid: re.sub(r"[: ]+$", "", f"{state}: {reason}") for uid, state, reason in rows}
