"""A node as a process, with a trivial analysis, that kills itself at a given step.

``python -m tests.support.light_node INI [N]``: at the N-th step towards the disk, the database
or the network the process kills itself, as a power cut would. Everything but the networks is the
product's own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future as Pending
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import event
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node import logs
from dicom_node.analysis import worker
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.worker_messages import Analysed, AnalysisRequest, EncodedObject, Unchanged
from dicom_node.assembly import open_resources
from dicom_node.clock_watch import utc_now
from dicom_node.folder_lock import only_node
from dicom_node.node import observe_log, start_node
from dicom_node.resources import Resources
from dicom_node.supervision.process_end import end_process
from pipeline.encode.bundle import part10
from pipeline.encode.result.identity import derived_uid, inputs_digest, result_key, stands

KINDS = (("report", EnhancedSRStorage), ("heatmap", SecondaryCaptureImageStorage))


class Fuse:
    """Kills this process at a given step; counts steps otherwise."""

    def __init__(self, at: int, record: Path) -> None:
        self._at, self._record = at, record
        self._lock = threading.Lock()
        self._steps = 0

    def step(self, name: str) -> None:
        """One step is done, or about to be."""
        with self._lock:
            self._steps += 1
            with self._record.open("a") as file:
                file.write(f"{self._steps} {name}\n")
            if self._steps == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


def encoded(kind: str, sop_class: str, key: str, source: Dataset) -> EncodedObject:
    """A small object of a result."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, derived_uid(key, kind)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = source.StudyInstanceUID, derived_uid(key, kind, 0)
    ds.PatientID, ds.Modality = source.PatientID, "OT"
    ds.InstanceCreationTime = utc_now().strftime("%H%M%S.%f")  # as real results name a time
    return EncodedObject(
        kind=kind,
        sop_class_uid=sop_class,
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        part10=part10(ds),
    )


def analysed(request: AnalysisRequest) -> Analysed | Unchanged:
    """Every file is read, as the real analysis does; the rest is made up."""
    sources = [dcmread(BytesIO(file.path.read_bytes())) for file in request.files]
    inputs = inputs_digest(request.series_instance_uid, request.instances, "light", {})
    if stands(inputs, request.earlier):
        return Unchanged()
    key = result_key(inputs, request.occasion)
    return Analysed(
        key=key,
        inputs=inputs,
        score=0.5,
        positive=True,
        model="light 1",
        summary={"score": 0.5, "instances": len(sources)},
        objects=tuple(encoded(kind, uid, key, sources[0]) for kind, uid in KINDS),
        seconds={},
    )


class LightTask:
    """A task of a thread."""

    worker = "light"
    started_at = None

    def __init__(self, pending: Pending[Any]) -> None:
        self._pending = pending

    def when_done(self, act: Callable[[Any], None]) -> None:
        self._pending.add_done_callback(lambda _: act(self))

    def result(self, timeout_seconds: float | None = None) -> Any:  # noqa: ANN401  # any task's
        return self._pending.result(timeout_seconds)


class LightEngine:
    """One thread; the analysis above instead of the networks."""

    slots = 1
    fit_workers = frozenset({"light"})

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def tend(self) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any, **_: object) -> LightTask:  # noqa: ANN401  # any task
        if function is worker.notice:
            return LightTask(self._pool.submit(function, *arguments))
        return LightTask(self._pool.submit(analysed, *arguments))

    def record_success(self, worker: str) -> None:
        pass

    def record_fault(self, worker: str, series: str, reason: str) -> None:
        pass

    def end(self, task: object) -> None:
        raise AssertionError("nothing hangs here")

    def close(self) -> None:
        self._pool.shutdown()


def watch(resources: Resources, fuse: Fuse) -> None:
    """Have the fuse see every step towards the disk and the database."""
    resources.folder._step = fuse.step  # the hook of the tests' own making
    event.listen(Session, "before_commit", lambda _: fuse.step("before-commit"))
    event.listen(Session, "after_commit", lambda _: fuse.step("after-commit"))


def main() -> None:
    ini, at = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    settings = load(ini)
    log_writer = logs.configure(level="INFO", style="json")
    logs.take_standard_error(log_writer)
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())

    def engine(*_: object) -> ComputeEngine:
        return cast(ComputeEngine, LightEngine())

    with only_node(settings.storage.folder):
        resources = open_resources(settings)
        watch(resources, Fuse(at, ini.with_name("steps.txt")))
        node = start_node(settings, resources, make_engine=engine)
        observe_log(node, log_writer)
        asked.wait()
        node.stop()
    end_process(log_writer)


if __name__ == "__main__":
    main()
