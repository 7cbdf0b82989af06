"""Two receivers as processes that share a folder and a database, and a sender that takes either."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from alembic.script import ScriptDirectory
from pydicom import dcmread
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import alembic_config, open_database
from storage.database.lease import read_lease
from storage.database.schema import Instance, Result, ResultObject, Series
from storage.files.folder import StorageFolder
from storage.files.object_folder import ObjectFolder
from storage.files.objects_address import object_store_at
from storage.states import SeriesState
from tests.reliability.receivers.light_process import LightNode
from tests.support.databases import database_url
from tests.support.node_process import INI, free_port, in_database, wait_until
from tests.support.servers.s3_server import S3Server

INSTANCES = 4
PREFIX = "node"  #: in the bucket


@dataclass
class Receivers:
    """Two receivers, what was acknowledged to the sender, and how long others took to take over.

    Attributes
    ----------
    shared
        Folder whose ``data`` they share; of those with a bucket, one of which nothing is used.
    store
        Has the bucket; None where there is none.
    """

    shared: Path
    nodes: dict[str, LightNode]
    url: str
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    takeovers: list[float] = field(default_factory=list)
    store: S3Server | None = None

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        wait_until(lambda: self.active() != "", seconds=60, what="an active receiver")

    def active(self) -> str:
        """Name of the active receiver; empty if there is none."""
        database = open_database(self.url)
        with Session(database) as session:
            lease = read_lease(session)
        database.dispose()
        return lease.held_by.place.removeprefix("receiver ") if lease and lease.is_held else ""

    def other(self, name: str) -> LightNode:
        return next(node for other, node in self.nodes.items() if other != name)

    def send(self, series: Path, draw: random.Random, seconds: float = 60) -> None:
        """Send until all is acknowledged, to whichever of them takes it."""
        wanted = {
            str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
            for path in series.glob("*.dcm")
        }

        def is_taken() -> bool:
            draw.choice(list(self.nodes.values())).send(series)
            return wanted <= {uid for one in self.nodes.values() for uid in one.acknowledged}

        wait_until(is_taken, seconds=seconds, what="a receiver that takes the series")
        self.acknowledged[series.name] = wanted

    def pretend_revision(self, revision: str | None) -> None:
        """Have the database say that its tables are of another revision; None says the truth."""
        database = open_database(self.url)
        head = revision or ScriptDirectory.from_config(alembic_config()).get_current_head()
        with Session(database) as session, session.begin():
            session.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head})
        database.dispose()

    def kill_active(self, *, wait: bool = True) -> None:
        """Kill the active receiver; once the other one has taken over, start it again."""
        name = self.active()
        victim, other = self.nodes[name], self.other(name)
        before = len(activations(other))
        at = time.time()
        victim.kill()
        wait_until(
            lambda: len(activations(other)) > before, seconds=60, what=f"takeover\n{other.log()}"
        )
        self.takeovers.append(activations(other)[-1] - at)
        victim.start(wait=wait)

    def kill_standby(self, *, wait: bool = True) -> None:
        """Kill the one that is not active, with what it has not entered yet."""
        standby = self.other(self.active())
        standby.kill()
        standby.start(wait=wait)

    def kill_both(self) -> None:
        """Kill all receivers at once: nobody is there for a moment."""
        for node in self.nodes.values():
            node.kill()
        for node in self.nodes.values():
            node.start()

    def all_delivered(self, series: int = 0) -> bool:
        """Say whether as many series are delivered, or all that were sent."""
        database = open_database(self.url)
        with Session(database) as session:
            states = dict(
                session.execute(select(Series.state, func.count()).group_by(Series.state)).all()
            )
        database.dispose()
        return states == {SeriesState.DELIVERED: series or len(self.acknowledged)}

    def files(self) -> StorageFolder:
        """The files of all of them."""
        if self.store is None:
            return StorageFolder(self.shared / "data", 0, make=False)
        bucket = object_store_at(self.store.address(PREFIX))
        return ObjectFolder(self.shared, 0, bucket, make=False)

    def hold(self, pacs: StandInPacs) -> None:
        """Every promise: each instance kept, each series once, and each result once at the PACS."""
        database = open_database(self.url)
        with Session(database) as session:
            rows = session.scalars(select(Instance)).all()
            absent = self.files().absent(row.path for row in rows)
            kept = [row.sop_instance_uid for row in rows if row.path not in absent]
            generations = dict(
                session.execute(select(Series.series_instance_uid, Series.generation)).all()
            )
            results = dict(
                session.execute(
                    select(Result.series_instance_uid, func.count()).group_by(
                        Result.series_instance_uid
                    )
                ).all()
            )
            objects = set(session.scalars(select(ResultObject.sop_instance_uid)))
        database.dispose()
        promised = set().union(*self.acknowledged.values())
        assert promised == set(kept)
        assert len(kept) == len(set(kept))
        assert results.keys() == generations.keys()
        assert all(count <= generations[uid] for uid, count in results.items())
        assert {uid for uid, _ in pacs.received} == objects
        assert not list((self.shared / "data" / "receivers").glob("*/noted/*"))


def activations(node: LightNode) -> list[float]:
    """When a receiver became the active one, by its log."""
    lines = (node.folder / "node.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if '"receiver_active"' in line]
    return [datetime.fromisoformat(line["timestamp"]).timestamp() for line in told]


def make_series(folder: Path, number: int) -> Path:
    slices = phantom_datasets(make_phantom(PhantomSpec(slices=INSTANCES, size=32)), seed=number)
    folder.mkdir()
    write_series(slices, folder)
    return folder


def in_bucket(store: S3Server, folder: Path) -> str:
    """Lines of [storage] for files in a bucket, whose key is in a file of a folder."""
    address = store.address(PREFIX)
    (folder / "key").write_text(f"{address.key_id}:{address.key}\n")
    (folder / "key").chmod(0o600)
    return (
        f"objects = {address.url}\nobjects_endpoint = {address.endpoint}\n"
        f"objects_region = {address.region}\nobjects_key_file = key\n"
    )


def make_receiver(
    folder: Path,
    shared: Path,
    name: str,
    pacs_port: int,
    *,
    url: str = "",
    more: str = "",
    store: S3Server | None = None,
) -> LightNode:
    """Write the settings of a receiver that shares a folder and its database.

    Parameters
    ----------
    name
        Empty for a node of its own.
    url
        Of the database; empty for that of the folder.
    more
        Further sections of its INI file.
    store
        Has the bucket in which the receiver keeps its files, with a folder of its own for copies.
    """
    folder.mkdir()
    node = LightNode(folder, free_port())
    text = INI.format(port=node.port, pacs_port=pacs_port, quiet=2, more=more)
    text = in_database(text, url or database_url(shared / "data"))
    if store is None:
        text = text.replace("folder = data\n", f"folder = {shared / 'data'}\n")
    else:
        text = text.replace("folder = data\n", f"folder = data\n{in_bucket(store, folder)}")
    named = f"[node]\nreceiver = {name}\n" if name else "[node]\n"
    node.ini.write_text(text.replace("[node]\n", named))
    return node
