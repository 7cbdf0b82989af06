"""Schedulers and workers as processes: Dask's own, and the product's over TLS."""

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
from dicom_node.network.tls import Credentials
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

HOSTS = ("scheduler1", "worker1", "node1")  #: of whom there are certificates

SETTINGS = """\
[engine]
scheduler = tls://localhost:{port}
certificate = {folder}/{host}.pem
key = {folder}/{host}.key
authorities = {folder}/authority.pem
"""


@dataclass
class Fleet:
    """One scheduler at a fixed port, and workers, of Dask; each may be killed and started again."""

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


def command(*words: str) -> list[str]:
    """Words that run a command of the product."""
    return [sys.executable, "-P", "-m", "dicom_node", *words]


def make_certificates(folder: Path, *hosts: str) -> None:
    """Make an authority, and a certificate for each host."""
    named = [word for host in hosts for word in ("--host", host)]
    subprocess.run(command("certificates", str(folder), *named), check=True, cwd=ROOT)


@dataclass
class TlsFleet:
    """A scheduler and workers over TLS, by the commands and settings of an operator.

    Attributes
    ----------
    folder
        Of certificates, INI files and logs.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        make_certificates(self.folder, *HOSTS)

    @property
    def address(self) -> str:
        return f"tls://localhost:{self.port}"

    def settings(self, host: str) -> str:
        """Section of the INI file of a host."""
        return SETTINGS.format(port=self.port, folder=self.folder, host=host)

    def credentials(self, host: str) -> Credentials:
        """Files of a host for TLS."""
        return Credentials(
            certificate=self.folder / f"{host}.pem",
            key=self.folder / f"{host}.key",
            authorities=self.folder / "authority.pem",
        )

    def start_scheduler(self) -> None:
        self.scheduler = self._start(
            "scheduler", self.settings("scheduler1"), "--bind", "127.0.0.1"
        )

    def start_worker(self, name: str, fetch_folder: Path | None = None) -> None:
        """Start a worker; one without a folder of its own sees the node's."""
        fetches = f"fetch_folder = {fetch_folder}\n" if fetch_folder else ""
        settings = self.settings("worker1") + fetches
        self.workers[name] = self._start("worker", settings, "--name", name)

    def kill_scheduler(self) -> None:
        """Kill it; its workers look for another one."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait(30)

    def stop(self) -> list[int]:
        """Stop workers and scheduler in order; give what they ended with."""
        running = [*self.workers.values(), *([self.scheduler] if self.scheduler else [])]
        statuses = []
        for process in running:
            process.send_signal(signal.SIGTERM)
            try:
                statuses.append(process.wait(60))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait(30))
        return statuses

    def _start(self, what: str, settings: str, *more: str) -> subprocess.Popen[bytes]:
        name = f"{what}-{more[-1]}" if what == "worker" else what
        ini = self.folder / f"{name}.ini"
        ini.write_text(settings)
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                command(what, "--config", str(ini), *more),
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
