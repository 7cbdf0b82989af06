"""A node as a process of its own, as under systemd."""

import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.reader import load
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import echo
from dicom_node.network.association import Peer
from storage.database.engine import is_migrated, open_database
from storage.database.sessions import Sessions
from storage.overview import Overview, overview
from tests.support.databases import database_url

PORTS = range(11_200, 32_000)  #: above DICOM's, below those of Linux for outgoing connections

INI = """\
[node]
port = {port}
bind = 127.0.0.1

[storage]
folder = data
reserve_gb = 0

[closing]
quiet_seconds = {quiet}
check_every_seconds = 0.2

[delivery]
check_every_seconds = 0.2
retry_first_seconds = 0.5
retry_max_seconds = 1

[log]
level = DEBUG
{more}
[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = {pacs_port}
"""


def ini_text(folder: Path, *, port: int, pacs_port: int, quiet: float, more: str = "") -> str:
    """Content of the INI file of a node in a folder, with the kind of database of the test."""
    text = INI.format(port=port, pacs_port=pacs_port, quiet=quiet, more=more)
    return in_database(text, database_url(folder / "data"))


def in_database(text: str, url: str) -> str:
    """Have a node use a database."""
    return text.replace("folder = data\n", f"folder = data\ndatabase_url = {url}\n")


def free_port() -> int:
    """Find a port that is free and stays so: none that systems give to whoever asks for any.

    Between its choice and the start of what shall listen there are seconds, in which a test beside
    this one may be given such a port, and then answers for the node.
    """
    while True:
        port = secrets.choice(PORTS)  # not as a seed of the tests says
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(done: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask ten times a second until it is so."""
    pause = threading.Event()
    for _ in range(int(seconds * 10)):
        if done():
            return
        pause.wait(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


@dataclass
class NodeProcess:
    """A node in a folder; it can be started, stopped and killed again and again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def ini(self) -> Path:
        return self.folder / "node.ini"

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="AINODE", host="127.0.0.1", port=self.port, timeout_seconds=20)

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-P", "-m", "dicom_node", "run", "--config", str(self.ini)]
        with (self.folder / "node.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        if wait:
            wait_until(self.answers, seconds=60, what=f"the node's start:\n{self.log()}")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        return echo(self.peer, calling_ae="TEST").verdict is Verdict.ACCEPTED

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def workers(self) -> list[int]:
        """Process numbers of the engine's workers: children that multiprocessing spawned."""
        assert self.process is not None
        return spawned(self.process.pid)

    def overview(self) -> Overview:
        database = open_database(load(self.ini).database_url)
        if not is_migrated(database):
            return Overview(states={}, deliveries={}, series=(), quarantine=(), refusals=())
        with Sessions(database).reading() as session:
            seen = overview(session)
        database.dispose()
        return seen

    def states(self) -> list[str]:
        return [str(line.state) for line in self.overview().series]

    def wait_for_state(self, *states: str, seconds: float = 120) -> None:
        wait_until(
            lambda: bool(self.states()) and set(self.states()) <= set(states),
            seconds=seconds,
            what=f"all series {' or '.join(states)}",
        )

    def log(self) -> str:
        path = self.folder / "node.log"
        return path.read_text()[-4000:] if path.exists() else ""


def children(parent: int, *, named: str = "") -> list[int]:
    """List them, those with some words in their command alone; who just ended is left out."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            of = status.read_text().partition("PPid:\t")[2].partition("\n")[0]
            line = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if of == str(parent) and named.encode() in line:
            found.append(int(status.parent.name))
    return found


def spawned(parent: int) -> list[int]:
    """List those that multiprocessing spawned: workers of an engine, or of a nanny."""
    return children(parent, named="spawn_main")
