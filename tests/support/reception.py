"""A receiver of the node in this process, on loopback, with real resources."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import evt
from sqlalchemy import select

from dicom_node.identity_key import keyed
from dicom_node.network.addresses.networks import Networks
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.store_handler import InstanceSink
from dicom_node.reception.store_scp import Receiver
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.series.sop_classes import CT_CLASSES
from storage.database.schema import Instance
from storage.database.sessions import Sessions
from storage.files.folder import INSTANCE_ENDING, INSTANCE_FOLDERS, KeptFile, StorageFolder
from storage.files.installation import draw_installation
from storage.overview import Overview, overview
from tests.support.databases import migrated_database


@dataclass
class Reception:
    """A running receiver: the address it listens on, and the rows of what it has received."""

    receiver: Receiver
    address: tuple[str, int]
    resources: Resources
    index: IndexWriter
    ingest: InstanceIngest

    def overview(self) -> Overview:
        """Summarise the database once everything received is recorded; the receiver stops.

        A peer has our answer before the thread of its association records a refusal.
        """
        self.receiver.drain(seconds=5)
        self.ingest.refusals.flush()
        self.index.stop()
        with self.resources.sessions() as session:
            return overview(session)

    def instances(self) -> list[Instance]:
        """List the rows of instances once everything received is recorded; the receiver stops."""
        self.receiver.drain(seconds=5)
        self.index.stop()
        with self.resources.sessions() as session:
            return list(session.scalars(select(Instance)))


def open_resources(folder: Path, *, storage: StorageFolder | None = None) -> Resources:
    """Open a new database, and the storage folder if none is given, in a folder."""
    database = migrated_database(folder)
    storage = storage or StorageFolder(folder, 0)
    draw_installation(storage.root)
    return keyed(Resources(sessions=Sessions(database, substitutes=SUBSTITUTES), folder=storage))


@contextmanager
def receiving(
    sink: InstanceSink,
    *,
    callers: Sequence[str] = (),
    require_called_ae: bool = True,
    timeout_seconds: float = 10,
    fast: bool = True,
    tls: ssl.SSLContext | None = None,
    balancers: Sequence[str] = (),
    services: Sequence[evt.EventHandlerType] = (),
    limits: AssociationLimits | None = None,
    sop_classes: Sequence[str] = CT_CLASSES,
    notified: Sequence[str] = (),
) -> Iterator[tuple[Receiver, tuple[str, int]]]:
    """Run a receiver that hands instances to a sink; give it and its address."""
    receiver = Receiver(
        ae_title="AINODE",
        callers=AllowedCallers.of(callers),
        require_called_ae=require_called_ae,
        limits=limits or AssociationLimits(of_one_address=100, silent_seconds=timeout_seconds),
        sop_classes=sop_classes,
        notified=notified,
    )
    address = receiver.listen(
        ("127.0.0.1", 0),
        sink,
        fast=fast,
        tls=tls,
        balancers=Networks.of(balancers),
        services=services,
    )
    try:
        yield receiver, address
    finally:
        receiver.drain(seconds=5)


@contextmanager
def listening(*args: Any, **options: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401  # as receiving
    """Run a receiver as :func:`receiving` does; give its address alone."""
    with receiving(*args, **options) as (_, address):
        yield address


@contextmanager
def indexing(resources: Resources) -> Iterator[IndexWriter]:
    """Run an index writer."""
    index = IndexWriter(resources.sessions)
    index.start()
    try:
        yield index
    finally:
        index.stop()


@contextmanager
def running_receiver(
    resources: Resources,
    *,
    callers: Sequence[str] = (),
    require_called_ae: bool = True,
    fast: bool = True,
    services: Sequence[evt.EventHandlerType] = (),
    limits: AssociationLimits | None = None,
    sop_classes: Sequence[str] = CT_CLASSES,
    tls: ssl.SSLContext | None = None,
    balancers: Sequence[str] = (),
) -> Iterator[Reception]:
    """Run a receiver that keeps and records what it receives."""
    with indexing(resources) as index:
        ingest = InstanceIngest(resources, index)
        with receiving(
            ingest,
            callers=callers,
            require_called_ae=require_called_ae,
            fast=fast,
            services=services,
            limits=limits,
            sop_classes=sop_classes,
            tls=tls,
            balancers=balancers,
        ) as (receiver, address):
            yield Reception(receiver, address, resources, index, ingest)


def kept_files(folder: StorageFolder) -> list[KeptFile]:
    """Remove what a crash left half written, and list every kept instance, as a start does."""
    folder.remove_temporary()
    return [
        folder.kept_file(path)
        for place in INSTANCE_FOLDERS
        for path in sorted(folder.paths_in(place, INSTANCE_ENDING))
    ]
