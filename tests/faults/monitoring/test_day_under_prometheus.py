"""A day of faults under Prometheus, in minutes: each alert fires when its fault comes, and clears.

Two real nodes are scraped: one to which everything happens, on a PostgreSQL of its own, and an idle
one, of which a destination is paused and a certificate nearly over. `DicomNodeAuditLost` is left to
its promtool test: it takes ten thousand messages that wait.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import trustme
from pydicom import Dataset
from sqlalchemy import select

from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.status_codes import SUCCESS
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import Instance
from storage.overview import SeriesLine
from storage.states import SeriesState
from tests.support.node_process import INI, NodeProcess, free_port, in_database, wait_until
from tests.support.peers.prometheus import FACTOR, PROGRAM, Prometheus, rules
from tests.support.servers.postgresql import Cluster, programs

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        shutil.which(PROGRAM) is None, reason="needs Prometheus: deploy/install-acceptance.sh"
    ),
]

BUSY, IDLE = "busy", "idle"
CANNOT_UNDERSTAND = 0xC000  #: refused for good
NOT_PROVOKED = {"DicomNodeAuditLost"}
DAY = 86_400 / FACTOR  #: seconds of real time
MANY = 25  #: series that are no chest CT
MORE = """
[engine]
retry_first_seconds = 0.5
[monitoring]
port = {port}
[selftest]
every_hours = 1
"""
SECOND = """file = file.log
[monitoring]
port = {port}
[tls]
certificate = {folder}/idle.pem
key = {folder}/idle.key
authorities = {folder}/idle.pem
[destination SECURE]
ae_title = SECURE
host = localhost
port = {port}
tls = yes
"""


@dataclass(kw_only=True)
class Day:
    """What faults happen to, and who watches it."""

    folder: Path
    busy: NodeProcess
    idle: NodeProcess
    pacs: StandInPacs
    server: Cluster
    prometheus: Prometheus
    authority: trustme.CA
    status: int = SUCCESS  #: with which the PACS answers
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def send(self, *, slices: int = 60, size: int = 128, to: str = BUSY, **header: str) -> str:
        """Send a series of its own; its UID."""
        number = next(self.numbers)
        phantom = make_phantom(PhantomSpec(seed=number, slices=slices, size=size, spacing_mm=5))
        datasets = phantom_datasets(phantom, seed=number)
        for dataset in datasets:
            dataset.update(made_of(header))
        write_series(datasets, self.folder / str(number))
        self.send_folder(self.folder / str(number), to=to)
        return str(datasets[0].SeriesInstanceUID)

    def send_folder(self, folder: Path, *, to: str = BUSY) -> set[Verdict]:
        node = self.busy if to == BUSY else self.idle
        files, _ = outgoing_files(folder)
        return {one.verdict for _, one in send(files, node.peer, calling_ae="SCANNER")}

    def change(self, old: str, new: str) -> None:
        """Change the INI file of the busy node."""
        text = self.busy.ini.read_text()
        assert old in text
        self.busy.ini.write_text(text.replace(old, new))

    def restart(self) -> None:
        assert self.busy.stop() == 0
        self.busy.start()

    def run(self, *words: str, to: str = BUSY) -> int:
        """Type in a command of the program; its exit status."""
        node = self.busy if to == BUSY else self.idle
        command = [sys.executable, "-P", "-m", "dicom_node", *words, "--config", str(node.ini)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def wait_for_run(self, *words: str, succeeds: bool) -> None:
        """Type in a command until it succeeds, or until it fails."""
        wait_until(
            lambda: (self.run(*words) == 0) == succeeds, seconds=10, what=f"{words}: {succeeds}"
        )

    def worker(self) -> int:
        """Process of the only worker, once there is one."""
        wait_until(lambda: len(self.busy.workers()) == 1, seconds=60, what="a worker")
        return self.busy.workers()[0]

    def wait_for(self, uid: str, *states: str) -> None:
        """Wait until a series has come to one of these states."""
        wait_until(lambda: self.state(uid) in states, seconds=120, what=f"{uid}: {states}")

    def file_of(self, uid: str) -> Path:
        """One of the files that are kept of a series."""
        of_the_series = select(Instance.path).where(Instance.series_instance_uid == uid)
        database = open_database(self.server.address("postgres"))
        with database.connect() as connection:
            path = connection.scalars(of_the_series).first()
        database.dispose()
        assert path is not None
        return self.busy.folder / "data" / path

    def state(self, uid: str) -> str:
        return "".join(str(one.state) for one in self._lines(uid))

    def attempts(self, uid: str) -> int:
        return sum(one.attempts for one in self._lines(uid))

    def _lines(self, uid: str) -> list[SeriesLine]:
        lines = self.busy.overview().series
        return [one for one in lines if one.series_instance_uid == uid]


def made_of(header: dict[str, str]) -> Dataset:
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server (deploy/install-postgresql.sh)")
    folder = tmp_path_factory.mktemp("day")
    server = Cluster(found, is_durable=False)
    server.start()
    authority = trustme.CA()
    certify(folder, authority, timedelta(days=10))
    ports = {name: free_port() for name in (BUSY, IDLE)}
    begun: list[Day] = []
    with (
        StandInPacs(folder / "pacs", port=free_port(), answer=lambda _: begun[0].status) as pacs,
        Prometheus(folder / "prometheus", ports) as prometheus,
    ):
        database = server.address("postgres")
        day = Day(
            folder=folder,
            busy=prepared(folder / BUSY, MORE.format(port=ports[BUSY]), pacs.port, database),
            idle=prepared(folder / IDLE, SECOND.format(port=ports[IDLE], folder=folder), pacs.port),
            pacs=pacs,
            server=server,
            prometheus=prometheus,
            authority=authority,
        )
        begun.append(day)
        for node in (day.busy, day.idle):
            node.start()
        day.wait_for_run("selftest", succeeds=True)
        assert day.run("destinations", "pause", "PACS", to=IDLE) == 0
        yield day
        for node in (day.busy, day.idle):
            assert node.stop() == 0
    server.remove()


def prepared(folder: Path, more: str, pacs_port: int, database: str = "") -> NodeProcess:
    """Write the settings of a node, with a database of its own if none is given."""
    folder.mkdir()
    node = NodeProcess(folder, free_port())
    text = INI.format(port=node.port, pacs_port=pacs_port, quiet=1, more=more)
    node.ini.write_text(in_database(text, database))
    return node


def certify(folder: Path, authority: trustme.CA, lasts: timedelta) -> None:
    """Write a certificate that ends after a time."""
    leaf = authority.issue_cert("localhost", not_after=datetime.now(UTC) + lasts)
    leaf.private_key_pem.write_to_path(folder / "idle.key")
    (folder / "idle.key").chmod(0o600)
    leaf.cert_chain_pems[0].write_to_path(folder / "idle.pem")


@contextmanager
def killed(day: Day) -> Iterator[None]:
    """The process is killed, and started after a while."""
    day.busy.kill()
    yield
    day.busy.start()


@contextmanager
def without_database(day: Day) -> Iterator[None]:
    day.server.stop()
    yield
    day.server.start()


@contextmanager
def full_disk(day: Day) -> Iterator[None]:
    """More is reserved than any disk has, and a scanner goes on sending."""
    day.change("reserve_gb = 0", "reserve_gb = 1000000")
    day.restart()
    assert day.send_folder(tiny(day)) == {Verdict.POSTPONED}
    yield
    day.change("reserve_gb = 1000000", "reserve_gb = 0")
    day.restart()


@contextmanager
def workers_killed(day: Day) -> Iterator[None]:
    """As the system does for memory, whenever one comes up."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            for worker in day.busy.workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
    day.worker()


@contextmanager
def killed_at_work(day: Day) -> Iterator[None]:
    """As the system does for memory, twice in the midst of the same analysis."""
    uid = day.send()
    for attempt in (1, 2):
        wait_until(lambda: day.attempts(uid) == attempt, seconds=120, what=f"attempt {attempt}")  # noqa: B023  # read at once
        os.kill(day.worker(), signal.SIGKILL)
    yield
    day.wait_for(uid, SeriesState.DELIVERED)


@contextmanager
def hanging_worker(day: Day) -> Iterator[None]:
    worker = day.worker()
    os.kill(worker, signal.SIGSTOP)
    sent = [day.send() for _ in range(2)]
    yield
    os.kill(worker, signal.SIGCONT)
    for uid in sent:
        day.wait_for(uid, SeriesState.DELIVERED)


@contextmanager
def pacs_away(day: Day) -> Iterator[None]:
    day.pacs.__exit__(None, None, None)
    uid = day.send()
    yield
    day.pacs.__enter__()
    day.wait_for(uid, SeriesState.DELIVERED)


@contextmanager
def refusing_pacs(day: Day) -> Iterator[None]:
    day.status = CANNOT_UNDERSTAND
    day.send()
    yield
    day.status = SUCCESS
    day.run("redeliver", "--all")


@contextmanager
def unreadable_instance(day: Day) -> Iterator[None]:
    """Its study has no UID."""
    folder = tiny(day, StudyInstanceUID="")
    assert day.send_folder(folder) == {Verdict.REFUSED}
    yield


@contextmanager
def lost_file(day: Day) -> Iterator[None]:
    """A file of the node is removed while its series waits for the worker, and never comes back."""
    worker = day.worker()
    os.kill(worker, signal.SIGSTOP)
    uid = day.send()
    day.wait_for(uid, SeriesState.ANALYSING)
    day.file_of(uid).unlink()
    os.kill(worker, signal.SIGCONT)
    day.wait_for(uid, SeriesState.FAILED)
    day.restart()
    yield


@contextmanager
def no_chests(day: Day) -> Iterator[None]:
    for _ in range(MANY):
        day.send(slices=4, size=32)
    yield


@contextmanager
def broken_settings(day: Day) -> Iterator[None]:
    day.change("[selftest]", "[selftset]")
    yield
    day.change("[selftset]", "[selftest]")


@contextmanager
def unanswered_self_test(day: Day) -> Iterator[None]:
    """The node may not call itself."""
    day.change("[node]\n", "[node]\ncalling_aes = SCANNER\n")
    day.wait_for_run("selftest", succeeds=False)
    yield
    day.change("calling_aes = SCANNER\n", "")
    day.wait_for_run("selftest", succeeds=True)


@contextmanager
def new_scanner(day: Day) -> Iterator[None]:
    uid = day.send(StationName="CT9", ManufacturerModelName="Unheard Of")
    day.wait_for(uid, SeriesState.DELIVERED)
    yield
    day.run("drift", "accept", "--all")


@contextmanager
def full_log(day: Day) -> Iterator[None]:
    """Its disk is full for a while; what was lost is counted when lines can be written again."""
    file = day.idle.folder / "file.log"
    file.rename(file.with_suffix(".before"))
    file.symlink_to("/dev/full")
    day.idle.answers()  # which is a line of the log
    alert = "DicomNodePartOutOfOrder"
    wait_until(lambda: day.prometheus.fires(alert, IDLE), seconds=DAY, what=alert)
    file.unlink()
    day.idle.answers()
    yield


@contextmanager
def old_certificate(day: Day) -> Iterator[None]:
    yield
    certify(day.folder, day.authority, timedelta(days=400))


@contextmanager
def paused_destination(day: Day) -> Iterator[None]:
    yield
    day.run("destinations", "resume", "PACS", to=IDLE)


@contextmanager
def idle_day(day: Day) -> Iterator[None]:
    """Nothing comes for a day, and the day before nothing had come."""
    yield
    day.send(to=IDLE, slices=4, size=32)


def tiny(day: Day, **header: str) -> Path:
    """A folder with one image."""
    number = next(day.numbers)
    dataset = phantom_datasets(make_phantom(PhantomSpec(slices=2, size=32)), seed=number)[0]
    dataset.update(made_of(header))
    write_series([dataset], day.folder / str(number))
    return day.folder / str(number)


Fault = Callable[[Day], AbstractContextManager[None]]
FAULTS: list[tuple[Fault, str, set[str]]] = [
    (killed, BUSY, {"Down"}),
    (without_database, BUSY, {"DatabaseAway"}),
    (full_disk, BUSY, {"NotReady", "DiskNearlyFull", "InstancesRefused"}),
    (killed_at_work, BUSY, {"AnalysesLost"}),
    (workers_killed, BUSY, {"NoWorker", "PartOutOfOrder"}),
    (hanging_worker, BUSY, {"AnalysisStuck", "AnalysesLate"}),
    (pacs_away, BUSY, {"DeliveriesLate"}),
    (refusing_pacs, BUSY, {"DeliveriesRefused"}),
    (unreadable_instance, BUSY, {"Quarantine"}),
    (lost_file, BUSY, {"SeriesFailed", "Disagreement"}),
    (broken_settings, BUSY, {"SettingsRefused"}),
    (unanswered_self_test, BUSY, {"SelfTestFailed", "SelfTestStale"}),
    (new_scanner, BUSY, {"ScannerChanged"}),
    (no_chests, BUSY, {"MostUnsuitable"}),
    (full_log, IDLE, {"LogLost"}),
    (old_certificate, IDLE, {"CertificateExpires"}),
    (paused_destination, IDLE, {"DestinationPaused"}),
    (idle_day, IDLE, {"NothingReceived"}),
]


@pytest.mark.parametrize(
    ("fault", "instance", "alerts"), FAULTS, ids=[fault.__name__ for fault, *_ in FAULTS]
)
def test_its_alerts_fire_and_clear(day: Day, fault: Fault, instance: str, alerts: set[str]) -> None:
    names = [f"DicomNode{alert}" for alert in alerts]
    began = datetime.now(UTC)

    def quiet() -> list[str]:
        since = (datetime.now(UTC) - began).total_seconds()
        return [
            name
            for name in names
            if not day.prometheus.has_fired(name, instance, within_seconds=since)
        ]

    def firing() -> list[str]:
        return [name for name in names if day.prometheus.fires(name, instance)]

    with fault(day):
        fired = happens(lambda: not quiet(), seconds=3 * DAY)
    assert fired, quiet()
    assert happens(lambda: not firing(), seconds=DAY), firing()


def happens(done: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until it is so; say whether it was in time. A fault is mended in either case."""
    try:
        wait_until(done, seconds=seconds, what="")
    except AssertionError:
        return False
    return True


def test_all_rules_are_provoked_but_one() -> None:
    provoked = {f"DicomNode{alert}" for *_, alerts in FAULTS for alert in alerts}
    assert {rule["alert"] for rule in rules()} - provoked == NOT_PROVOKED
