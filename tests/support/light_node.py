"""A node as a process, with a trivial analysis, that kills itself at a given step.

``python -m tests.support.light_node INI [N]``: at the N-th step towards the disk, the database or
the network the process kills itself, as a power cut would. Where the settings name a scheduler the
analyses run on its workers, through the product's own engine. Everything but the networks is the
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
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.orm import Session

from config.reader import load
from config.settings import Settings
from dicom_node import logs
from dicom_node.analysis.engine.compute_engine import ComputeEngine, EnginePaces
from dicom_node.analysis.engine.connection import EMBEDDED, EngineAddress, connect
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.analysis.worker import ends_task, feedback_task, notice_task
from dicom_node.assembly.engine import engine_address_of
from dicom_node.assembly.monitoring import counting
from dicom_node.assembly.resources import open_resources
from dicom_node.health import Health
from dicom_node.node.lifecycle import held_folder, monitored, observe_log, start_node
from dicom_node.resources import Resources
from dicom_node.supervision.process_end import end_process
from dicom_node.supervision.stop_request import stop_request
from tests.support import fleet_tasks
from tests.support.light_analysis import analysed

#: tasks that need no networks
AS_THEY_ARE = {notice_task.notice, feedback_task.read_feedback, ends_task.look_at_ends}


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

    def name_of(self, worker: str) -> str:
        return worker

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401  # any task
        early: Callable[[Callable[[], Any]], None] | None = None,
        **_: object,
    ) -> LightTask:
        if function in AS_THEY_ARE or early is None:
            return LightTask(self._pool.submit(function, *arguments))
        return LightTask(self._pool.submit(analysed, *arguments, lambda one: early(lambda: one)))

    def record_success(self, worker: str) -> None:
        pass

    def record_fault(self, worker: str, series: str, reason: str) -> None:
        pass

    def end(self, task: object) -> None:
        raise AssertionError("nothing hangs here")

    def close(self) -> None:
        self._pool.shutdown()


class LightFleet(ComputeEngine):
    """The product's engine with a fleet; the analysis above instead of the networks."""

    def submit(self, function: Callable[..., Any], *arguments: Any, **how: Any) -> Any:  # noqa: ANN401  # any task
        light = function if function in AS_THEY_ARE else analysed
        return super().submit(light, *arguments, **how)


def fleet_at(address: EngineAddress, health: Health) -> LightFleet:
    """Make an engine for the workers of a scheduler."""
    paces = EnginePaces(
        reconnect=Pace(first_seconds=0.2, longest_seconds=1.0),
        rest=Pace(first_seconds=0.2, longest_seconds=1.0),
    )
    return LightFleet(
        partial(connect, address), fleet_tasks.prove_light, health, renewed=False, paces=paces
    )


def watch(resources: Resources, fuse: Fuse) -> None:
    """Have the fuse see every step towards the disk and the database."""
    resources.folder._step = fuse.step  # the hook of the tests' own making
    event.listen(Session, "before_commit", lambda _: fuse.step("before-commit"))
    event.listen(Session, "after_commit", lambda _: fuse.step("after-commit"))


def main() -> None:
    ini, at = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    settings = load(ini)
    address = engine_address_of(settings)
    has_fleet = address.scheduler != EMBEDDED
    log_writer = logs.configure(level="INFO", style="json")
    logs.take_standard_error(log_writer)
    asked = stop_request()

    def engine(_: Settings, health: Health) -> ComputeEngine:
        if has_fleet:
            return fleet_at(address, health)
        return cast(ComputeEngine, LightEngine())

    with held_folder(settings) as shared:
        is_alone = shared is None or shared.is_alone
        resources = open_resources(settings, is_alone=is_alone)
        if at or not has_fleet:
            watch(resources, Fuse(at, ini.with_name("steps.txt")))
        counted = counting(settings, resources)
        node = start_node(settings, resources, make_engine=engine, shared=shared)
        observe_log(node, log_writer)
        stop_monitoring = monitored(node, settings, counted)
        node.when_over(asked.set)
        asked.wait()
        stop_monitoring()
        node.stop()
    end_process(log_writer, status=1 if node.over else 0)
    if node.over:
        raise SystemExit(node.over)


if __name__ == "__main__":
    main()
