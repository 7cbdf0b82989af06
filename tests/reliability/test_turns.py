"""Node, worker, scheduler and database are killed in turn under load: nothing is lost."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pynetdicom.events import Event
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from pipeline.encode.result.identity import derived_uid
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import Instance, Result, ResultObject, Series
from storage.errors import StorageError
from storage.states import SeriesState
from tests.reliability.tally import Tally, times
from tests.support.fleet import Fleet
from tests.support.light_analysis import KINDS
from tests.support.node_process import INI, NodeProcess, free_port, in_database, wait_until
from tests.support.paths import ROOT
from tests.support.postgresql import Cluster, programs

INSTANCES = 4
BACKLOG = 6  #: series that may wait before the next is sent
ROUND = 20  #: kills between two looks at everything
KILLS = int(os.environ.get("RELIABILITY_KILLS", "1000"))  #: of the long form
SETTLE_SECONDS = 180
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600)]

PATIENT_ENGINE = """
[engine]
attempts = 50
retry_first_seconds = 0.2
"""


class WitnessPacs(StandInPacs):
    """A PACS that remembers the bytes of everything it was ever sent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.digests: defaultdict[str, set[str]] = defaultdict(set)

    def _store(self, event: Event) -> int:
        digest = hashlib.sha256(event.encoded_dataset(include_meta=False)).hexdigest()
        self.digests[str(event.request.AffectedSOPInstanceUID)].add(digest)
        return super()._store(event)


@dataclass
class Hospital:
    """A node, its database, its fleet and its PACS; each part but the PACS may be killed."""

    folder: Path
    cluster: Cluster
    fleet: Fleet
    pacs: WitnessPacs
    node: NodeProcess
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def start_node(self) -> None:
        command = [sys.executable, "-P", "-m", "tests.support.light_node", str(self.node.ini)]
        with (self.node.folder / "node.log").open("a") as log:
            self.node.process = subprocess.Popen(
                [*command, "0", self.fleet.address],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="AINODE", host="127.0.0.1", port=self.node.port, timeout_seconds=10)

    def answers(self) -> bool:
        """Whether the node answers; one that gave up for its database is started again."""
        with self._guard:
            if self.node.process is None or self.node.process.poll() is not None:
                self.start_node()
        return echo(self.peer, calling_ae="TEST").verdict is Verdict.ACCEPTED

    def kill_node(self) -> None:
        with self._guard:
            if self.node.process is not None and self.node.process.poll() is None:
                self.node.kill()
            self.start_node()

    def kill_worker(self) -> None:
        """Kill the process that computes; its nanny starts another."""
        name = random.choice(sorted(self.fleet.workers))  # no secret
        children = self._computing(self.fleet.workers[name].pid)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        if not children:  # it is just being started: kill all of it
            self.fleet.workers[name].kill()
            self.fleet.workers[name].wait(30)
            self.fleet.start_worker(name)

    def kill_scheduler(self) -> None:
        """Kill it; workers end with it, and are started again as a supervisor would."""
        names = sorted(self.fleet.workers)
        self.fleet.kill_scheduler()
        self.fleet.start_scheduler()
        for name in names:
            self.fleet.start_worker(name)

    def kill_database(self) -> None:
        self.cluster.kill()
        self.cluster.start()

    def _computing(self, nanny: int) -> list[int]:
        """Processes of a nanny's worker."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                parent = status.read_text().partition("PPid:\t")[2].partition("\n")[0]
                line = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == str(nanny) and b"spawn_main" in line:
                found.append(int(status.parent.name))
        return found

    def send(self, series: Path) -> None:
        """Send a series as a modality does: again and again, until all of it is acknowledged."""
        files = {OutgoingFile.of(path): path.stem for path in sorted(series.glob("*.dcm"))}
        wanted = set(files.values())

        def done() -> bool:
            if self.answers():
                rest = [file for file, uid in files.items() if uid not in self.acknowledged]
                for file, outcome in send(rest, self.peer, calling_ae="SCANNER"):
                    if outcome.verdict is Verdict.ACCEPTED:
                        self.acknowledged.add(files[file])
            return wanted <= self.acknowledged

        wait_until(done, seconds=SETTLE_SECONDS, what=f"the end of sending\n{self.node.log()}")

    def rows(self, ask: Callable[[Session], object]) -> object:
        database = open_database(load(self.node.ini).database_url)
        try:
            with Session(database) as session:
                return ask(session)
        finally:
            database.dispose()

    def settled(self) -> bool:
        """Whether everything acknowledged has a row, and every series is delivered."""
        if not self.answers():
            return False
        try:
            known, states = self.rows(
                lambda session: (
                    set(session.scalars(select(Instance.sop_instance_uid))),
                    set(session.scalars(select(Series.state))),
                )
            )
        except (StorageError, SQLAlchemyError):
            return False
        return self.acknowledged <= known and states == {SeriesState.DELIVERED}

    def hold(self) -> None:
        """Every promise: kept, once, one set of bytes for each UID, nothing stuck."""
        folder = load(self.node.ini).storage.folder
        instances, results, generations, objects = self.rows(
            lambda session: (
                {row.sop_instance_uid: row.path for row in session.scalars(select(Instance))},
                Counter(session.scalars(select(Result.series_instance_uid))),
                dict(session.execute(select(Series.series_instance_uid, Series.generation)).all()),
                set(session.scalars(select(ResultObject.sop_instance_uid))),
            )
        )
        assert self.acknowledged <= set(instances)
        assert all((folder / path).is_file() for path in instances.values())
        assert all(1 <= results[uid] <= generations[uid] for uid in generations)
        assert set(self.pacs.digests) == objects
        assert {uid for uid, bytes_ in self.pacs.digests.items() if len(bytes_) > 1} == set()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL server (deploy/install-postgresql.sh)")
    cluster = Cluster(folder)
    cluster.start()
    fleet = Fleet(tmp_path)
    with WitnessPacs(tmp_path / "pacs") as pacs:
        node = NodeProcess(tmp_path / "node", free_port())
        node.folder.mkdir()
        ini = INI.format(port=node.port, pacs_port=pacs.port, quiet=1.5, more=PATIENT_ENGINE)
        node.ini.write_text(in_database(ini, cluster.address("postgres")))
        hospital = Hospital(tmp_path, cluster, fleet, pacs, node)
        fleet.start_scheduler()
        for name in ("one", "two"):
            fleet.start_worker(name)
        hospital.start_node()
        yield hospital
        if node.process is not None and node.process.poll() is None:
            node.kill()
        fleet.stop()
        cluster.remove()


def new_series(slices: list[Dataset], number: int, folder: Path) -> Path:
    """Write the slices as another series of another study; a file is named by its instance."""
    folder = folder / f"series{number}"
    folder.mkdir()
    for place, ds in enumerate(slices):
        ds.StudyInstanceUID = derived_uid("study", number)
        ds.SeriesInstanceUID = derived_uid("series", number)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = derived_uid(
            "instance", number, place
        )
        ds.save_as(folder / f"{ds.SOPInstanceUID}.dcm")
    return folder


@contextmanager
def sending(
    hospital: Hospital, slices: list[Dataset], folder: Path, sent: list[Path]
) -> Iterator[None]:
    """Send one series after the other meanwhile; the last comes to its end."""
    over, faults = threading.Event(), []

    def send_all() -> None:
        try:
            while not over.is_set():
                if len(sent) - len(hospital.pacs.digests) / len(KINDS) > BACKLOG:
                    over.wait(0.2)
                    continue
                sent.append(new_series(slices, len(sent), folder))
                hospital.send(sent[-1])
        except Exception as fault:  # noqa: BLE001  # thread border: the test must hear of it
            faults.append(fault)

    sender = threading.Thread(target=send_all, daemon=True)
    sender.start()
    yield
    over.set()
    sender.join()
    assert not faults, faults


@pytest.mark.long
def test_killed_in_turn_under_load_nothing_is_lost_or_doubled(
    hospital: Hospital, tmp_path: Path, tally: Tally
) -> None:
    write_series(
        phantom_datasets(make_phantom(PhantomSpec(slices=INSTANCES, size=32)), seed=1),
        tmp_path / "source",
    )
    slices = [dcmread(path) for path in sorted((tmp_path / "source").glob("*.dcm"))]
    moments, wanted, pause = random.Random(7), times(4, KILLS), threading.Event()
    sent: list[Path] = []
    turns: list[tuple[str, Callable[[], None]]] = [
        ("node", hospital.kill_node),
        ("worker", hospital.kill_worker),
        ("scheduler", hospital.kill_scheduler),
        ("database", hospital.kill_database),
    ]
    wait_until(hospital.answers, seconds=60, what=f"the start\n{hospital.node.log()}")

    while hospital.kills.total() < wanted:
        with sending(hospital, slices, tmp_path, sent):
            for _ in range(min(ROUND, wanted)):
                name, kill = turns[hospital.kills.total() % len(turns)]
                pause.wait(moments.uniform(0.2, 1.5))
                kill()  # by this thread: PostgreSQL ends with the thread that started it
                hospital.kills[name] += 1
        wait_until(
            hospital.settled, seconds=SETTLE_SECONDS, what=f"all delivered\n{hospital.node.log()}"
        )
        hospital.hold()
        by_kind = ", ".join(f"{count} {name}" for name, count in sorted(hospital.kills.items()))
        tally.note(
            "node, worker, scheduler (with its workers) and PostgreSQL killed in turn under load",
            f"{hospital.kills.total():,} kills ({by_kind}) while {len(sent):,} series came in",
            "0 instances lost, 0 doubled results, 0 UIDs with two sets of bytes, 0 stuck",
        )
