"""Run the demo: a node, a stand-in PACS, a chest CT, its results and pictures on one machine.

Everything stays on loopback, and nothing is left running; if asked for, node and console stay until
Ctrl-C, so that one can look around.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from rich.console import Console
from rich.markup import escape

from config.reader import load
from dicom_node.cli.send import outgoing_files, send_folder
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import echo
from dicom_node.demo.pictures import write_previews
from dicom_node.demo.report_reader import statements
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.errors import NodeError
from dicom_node.network.association import Peer
from pipeline.atomic_write import write_whole
from storage.database.engine import open_database
from storage.database.sessions import Sessions
from storage.files.disk import naming
from storage.overview import SeriesLine, overview
from storage.states import SeriesState

START_SECONDS = 60.0  #: longest wait for the node to listen
RESULT_SECONDS = 600.0  #: longest wait for the results
STOP_SECONDS = 60.0  #: longest wait for the node to stop
QUIET_SECONDS = 3.0  #: the demo has one sender, on the same machine
COMMAND = os.path.relpath(Path(sys.executable).with_name("dicom-node"))
ENDED = {SeriesState.DELIVERED, SeriesState.UNSUITABLE, SeriesState.FAILED}

INI_TEMPLATE = """\
[node]
port = {node_port}
bind = 127.0.0.1

[storage]
folder = node
reserve_gb = 0.5

[closing]
quiet_seconds = {quiet}
check_every_seconds = 0.5

[delivery]
check_every_seconds = 0.5

[console]
port = {console_port}

[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = {pacs_port}
"""
CONSOLE_USER = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Folder of the demo, and the paths in it."""

    root: Path

    @property
    def ini(self) -> Path:
        """INI file of the node."""
        return self.root / "dicom-node.ini"

    @property
    def log(self) -> Path:
        """Log of the node."""
        return self.root / "node.log"

    @property
    def console_log(self) -> Path:
        """Log of the console."""
        return self.root / "console.log"

    @property
    def phantom(self) -> Path:
        """Folder of the synthetic CT."""
        return self.root / "ct"

    @property
    def pacs(self) -> Path:
        """Folder of the objects that the stand-in PACS received."""
        return self.root / "pacs"

    @property
    def pictures(self) -> Path:
        """Folder of the PNG previews."""
        return self.root / "previews"


def show(ct: Path | None, root: Path, console: Console, *, keep: bool = False) -> None:
    """Run the demo.

    Parameters
    ----------
    keep
        Whether node and console stay until Ctrl-C.

    Raises
    ------
    NodeError
        If the folder is in use, the node does not start, or no result comes in time.
    """
    if root.exists() and any(root.iterdir()):
        raise NodeError(f"expected a new or empty folder for the demo, got {root}")
    root.mkdir(parents=True, exist_ok=True)
    place = Place(root=root)
    with naming(root):
        ct = ct or _phantom(place, console)
    with StandInPacs(place.pacs) as pacs:
        port, console_port = _free_port(), _free_port()
        ini = INI_TEMPLATE.format(
            node_port=port,
            console_port=console_port,
            pacs_port=pacs.port,
            quiet=QUIET_SECONDS,
        )
        write_whole(place.ini, ini.encode())
        with _node(place, port, console):
            sent = send_folder(
                ct,
                Peer(ae_title="AINODE", host="127.0.0.1", port=port),
                calling_ae="SCANNER",
                console=console,
            )
            for line in sent.words():
                console.print(line, markup=False)
            _wait_for_results(place, console)
            _print_results(place, ct, console)
            password = _add_user(place)
            if keep:
                _keep(place, password, console)
    if not keep:
        console.print(
            f"the console: {COMMAND} console --config {os.path.relpath(place.ini)}, then"
            f" {_address(place)} ({CONSOLE_USER}, {password}); make demo KEEP=1 opens it at once",
            markup=False,
        )


def _address(place: Place) -> str:
    from dicom_node.console.server import address_of

    return address_of(load(place.ini))


def _add_user(place: Place) -> str:
    """Add an administrator of the console; return the password, which is drawn."""
    from dicom_node.console.access.passwords import hashed
    from dicom_node.console.access.people import Role
    from storage.console.users import User, add_user

    password = secrets.token_urlsafe(12)
    user = User(
        name=CONSOLE_USER,
        role=Role.ADMIN,
        password=hashed(password),
        created_at=datetime.now(UTC),
    )
    database = open_database(load(place.ini).database_url)
    with Sessions(database).begin() as session:
        add_user(session, user)
    database.dispose()
    return password


def _keep(place: Place, password: str, console: Console) -> None:
    """Serve the console until Ctrl-C."""
    command = [sys.executable, "-P", "-m", "dicom_node", "console", "--config", str(place.ini)]
    with place.console_log.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603  # our own command
    words = f"the console: {_address(place)} ({CONSOLE_USER}, {password}), until Ctrl-C"
    console.print(words, markup=False)
    try:
        status = process.wait()
        raise NodeError(f"the console ended with status {status}; see {place.console_log}")
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        process.terminate()
        process.wait()


def _phantom(place: Place, console: Console) -> Path:
    from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
    from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

    with console.status("drawing a synthetic chest CT"):
        spec = PhantomSpec(seed=2, slices=120, spacing_mm=2.5, lesions=8)
        paths = write_series(phantom_datasets(make_phantom(spec), seed=spec.seed), place.phantom)
    console.print(
        f"synthetic chest CT: {len(paths)} images, {spec.lesions} opacities, in {place.phantom}",
        markup=False,
    )
    return place.phantom


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _node(place: Place, port: int, console: Console) -> Iterator[None]:
    """Run a node as a process of its own, and end it."""
    command = [sys.executable, "-P", "-m", "dicom_node", "run", "--config", str(place.ini)]
    with place.log.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603  # our own command
    try:
        _wait_for_node(process, place, port, console)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with console.status("stopping the node"):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_node(
    process: subprocess.Popen[bytes], place: Place, port: int, console: Console
) -> None:
    peer = Peer(ae_title="AINODE", host="127.0.0.1", port=port, timeout_seconds=5)

    def answers() -> bool:
        if process.poll() is not None:
            raise NodeError(f"the node ended with status {process.returncode}; see {place.log}")
        return echo(peer, calling_ae="SCANNER").verdict is Verdict.ACCEPTED

    with console.status("starting the node"):
        _wait(answers, seconds=START_SECONDS, what=f"an answer of the node (see {place.log})")
    console.print(f"node AINODE listens on 127.0.0.1:{port} (process {process.pid})")


def _wait(done: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not done():
        if time.monotonic() > deadline:
            raise NodeError(f"expected {what} within {seconds:.0f} s, got none")
        pause.wait(0.25)


def _wait_for_results(place: Place, console: Console) -> None:
    """Show the state of each series until all have ended."""
    database = open_database(load(place.ini).database_url)
    started = time.monotonic()
    with console.status("waiting for the results") as status:

        def ended() -> bool:
            with Sessions(database).reading() as session:
                series = overview(session).series
            status.update("  ".join(_standing(line) for line in series) or "waiting")
            return bool(series) and all(line.state in ENDED for line in series)

        _wait(ended, seconds=RESULT_SECONDS, what="the results")
    database.dispose()
    console.print(
        f"all series have come to an end after {time.monotonic() - started:.1f} s"
        f" (quiet time {QUIET_SECONDS:g} s included)"
    )


def _standing(series: SeriesLine) -> str:
    sent = ", ".join(f"{count} {state}" for state, count in series.deliveries.items())
    return f"{series.instances} instances {series.state}{f' ({sent})' if sent else ''}"


def _print_results(place: Place, ct: Path, console: Console) -> None:
    """Print the reports that the PACS received, write previews, and list all paths."""
    results = [dcmread(path) for path in sorted(place.pacs.glob("*.dcm"))]
    _print_not_analysed(place, console)
    reports = [ds for ds in results if ds.SOPClassUID.endswith(".88.34")]
    for report in reports:
        console.rule("what the report in the PACS says")
        for depth, line in statements(report):
            console.print(f"{'  ' * depth}{escape(line)}")
    sources, _ = outgoing_files(ct)
    pictures = (
        write_previews([file.path for file in sources], results, place.pictures) if reports else []
    )
    console.rule("where everything lies")
    for what, where in _whereabouts(place, results, pictures):
        console.print(f"{what}: {where}", markup=False)


def _print_not_analysed(place: Place, console: Console) -> None:
    database = open_database(load(place.ini).database_url)
    with Sessions(database).reading() as session:
        for series in overview(session).series:
            if series.state is not SeriesState.DELIVERED:
                console.print(
                    f"{series.instances} instances {series.state}: {escape(series.reason)}"
                )
    database.dispose()


def _whereabouts(
    place: Place, results: Sequence[Dataset], pictures: list[Path]
) -> Iterator[tuple[str, str]]:
    yield "results in the stand-in PACS", f"{place.pacs} ({len(results)} objects)"
    yield "pictures", f"{place.pictures} ({len(pictures)} PNG files)"
    yield "settings", str(place.ini)
    yield "log of the node", str(place.log)
    yield "everything again", f"{COMMAND} status --config {os.path.relpath(place.ini)}"
