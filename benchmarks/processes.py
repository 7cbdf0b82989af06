"""Receivers and senders as processes of their own: the node's, DCMTK's, Orthanc."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

AE_TITLE = "AINODE"
START_SECONDS = 30.0  #: longest wait for a receiver to listen
END_SECONDS = 30.0  #: ... and to end
LOOK_SECONDS = 0.05  #: between two looks whether it does
AT_ONCE = {"TCP_NODELAY": "1"}  #: DCMTK, and Orthanc by it, then send without Nagle's delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """A receiver that listens on loopback."""

    port: int
    process: subprocess.Popen[str]
    folder: Path


Start = Callable[[Path], AbstractContextManager[Receiving]]  #: of a receiver that keeps in a folder


def missing(*tools: str) -> list[str]:
    """Which of these programs are not installed."""
    return [tool for tool in tools if shutil.which(tool) is None]


def memory(pid: int | str, kind: str) -> int:
    """Memory of a process, bytes: VmRSS as it is, VmHWM at its highest (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{kind}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line {kind} in the status of process {pid}, found none")
    return int(found[1]) * 1024


def node(way: str) -> Start:
    """Make a start of the node's receiver, the ``fast`` way or pynetdicom's own (``stock``)."""

    @contextmanager
    def start(folder: Path) -> Iterator[Receiving]:
        command = [sys.executable, "-m", "benchmarks.receiver", str(folder), way]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        with process:
            assert process.stdin is not None  # noqa: S101  # they are pipes
            assert process.stdout is not None  # noqa: S101  # they are pipes
            yield Receiving(port=int(process.stdout.readline()), process=process, folder=folder)
            process.stdin.close()
            process.wait(END_SECONDS)

    return start


@contextmanager
def whole_node(ini: Path, port: int) -> Iterator[None]:
    """Run a node by its INI file, which names the port; it logs to a file beside."""
    command = [sys.executable, "-m", "dicom_node", "run", "--config", str(ini)]
    with (
        ini.with_name("log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ) as process,
    ):
        try:
            wait_for_port(port)
            yield
        finally:
            process.terminate()
            process.wait(END_SECONDS)


def storescp(*options: str, at_once: bool = True) -> Start:
    """Make a start of DCMTK's receiver; it does not synchronise what it writes."""

    @contextmanager
    def start(folder: Path) -> Iterator[Receiving]:
        port = free_port()
        command = ["storescp", *options, "-aet", AE_TITLE, "-od", str(folder), str(port)]
        with _listening(command, port, folder, at_once=at_once) as receiving:
            yield receiving

    return start


@contextmanager
def orthanc(folder: Path) -> Iterator[Receiving]:
    """Orthanc as it comes, but for its folder, its port and its web server, which is off."""
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "DicomAlwaysAllowStore": True,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = ["Orthanc", str(folder / "orthanc.json")]
    with _listening(command, port, folder, at_once=True) as receiving:
        yield receiving


@contextmanager
def _listening(
    command: list[str], port: int, folder: Path, *, at_once: bool
) -> Iterator[Receiving]:
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdout=quiet, stderr=quiet, text=True, env=_environment(at_once=at_once)
    ) as process:
        try:
            wait_for_port(port)
            yield Receiving(port=port, process=process, folder=folder)
        finally:
            process.terminate()
            process.wait(END_SECONDS)


def _environment(*, at_once: bool) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in AT_ONCE}
    return inherited | (AT_ONCE if at_once else {})


def wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of loopback."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"nobody listens on port {port} after {START_SECONDS:.0f} s")


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send_with(tool: str, folders: Sequence[Path], port: int, *, at_once: bool = True) -> float:
    """Send each folder by a process of its own, all at the same time; seconds until the last ends.

    Raises
    ------
    ConnectionError
        If one of them did not bring all of it over.
    """
    command = [tool, "-aet", "BENCHMARK", "-aec", AE_TITLE, "+sd", "127.0.0.1", str(port)]
    start = time.perf_counter()
    processes = [
        subprocess.Popen([*command, str(folder)], env=_environment(at_once=at_once))
        for folder in folders
    ]
    codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - start
    if any(codes):
        raise ConnectionError(f"{tool} ended with {codes}, expected 0 of each")
    return seconds
