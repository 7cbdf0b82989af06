"""Dask schedulers and workers as processes, as an operator starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.health import Health
from tests.support.node_process import free_port
from tests.support.paths import ROOT


def tend_until(
    engine: ComputeEngine, done: Callable[[], bool], health: Health | None = None
) -> None:
    pause = threading.Event()
    for _ in range(1200):
        engine.tend()
        if done():
            return
        pause.wait(0.1)
    raise AssertionError(f"not within two minutes; {health and health.snapshot()}")


QUIET = {  # no pages, and quick to notice who is gone
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
}


@dataclass
class Fleet:
    """One scheduler at a fixed port, and workers; each may be killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self, *more: str) -> None:
        self.scheduler = self._start(
            "scheduler",
            ["--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", ":0", *more],
        )

    def start_worker(self, name: str, *, threads: int = 1, **environment: str) -> None:
        self.workers[name] = self._start(
            "worker",
            [
                self.address,
                "--host",
                "127.0.0.1",
                "--name",
                name,
                "--nthreads",
                str(threads),
                "--local-directory",
                str(self.folder),
                "--dashboard-address",
                ":0",
            ],
            **environment,
        )

    def kill_scheduler(self) -> None:
        """Kill it, and wait for its workers, which end without it."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait(30)
        self.stop_workers()

    def stop_workers(self) -> None:
        for process in self.workers.values():
            process.send_signal(signal.SIGTERM)
        for process in self.workers.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        self.workers.clear()

    def stop(self) -> None:
        self.stop_workers()
        if self.scheduler is not None:
            self.scheduler.kill()
            self.scheduler.wait(30)

    def _start(
        self, what: str, arguments: list[str], **environment: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{what}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + what, *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT), **environment},
                cwd=self.folder,
            )
