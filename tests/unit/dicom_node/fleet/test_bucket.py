"""Receivers with folders of their own, whose instances are in one bucket."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select, text

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.resources import check_receiver
from dicom_node.assembly.resources import open_resources as open_node
from dicom_node.console.context import Console
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.errors import NodeError
from dicom_node.identity_key import keyed
from dicom_node.maintenance.backup import COPIES, files_of
from dicom_node.maintenance.comparison import ComparisonProcess, Request
from dicom_node.maintenance.consistency import DAMAGED, folder_is_away, repair, tell_damaged
from dicom_node.maintenance.stored_data import reinject
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import OUT_OF_RESOURCES, SUCCESS
from dicom_node.node.lifecycle import held_folder, start_node
from dicom_node.preflight.faults import faults
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Instance
from storage.files.folder import INSTANCE_FOLDERS
from storage.files.object_folder import ObjectFolder
from storage.files.objects_address import ObjectsAddress, object_store_at
from storage.maintenance.consistency import Kind
from storage.overview import overview
from tests.support.databases import database_url
from tests.support.light_analysis import KINDS
from tests.support.light_node import LightEngine
from tests.support.node_process import free_port, wait_until
from tests.support.reception import open_resources

INI = """\
[node]
receiver = {name}
port = 0
bind = 127.0.0.1

[storage]
folder = {name}
database_url = {database}
objects = {bucket.url}
objects_endpoint = {bucket.endpoint}
objects_region = {bucket.region}
objects_key_file = key
reserve_gb = 0

[closing]
quiet_seconds = 0.5
check_every_seconds = 0.1

[delivery]
check_every_seconds = 0.1

[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = {pacs_port}
"""
POSTGRESQL = pytest.mark.parametrize(
    "database_kind", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=1)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def resources(tmp_path: Path, bucket: ObjectsAddress, opened: ExitStack) -> Resources:
    folder = ObjectFolder(tmp_path / "a", 0, object_store_at(bucket))
    folder.join_installation()
    made = open_resources(tmp_path, storage=folder)
    opened.callback(made.close)
    return made


def keep(ds: Dataset, resources: Resources, *, seconds: float = 30) -> int:
    """Keep an instance as a receiver does; its rows follow for so long, if at all."""
    body = BytesIO()
    dcmwrite(body, ds, implicit_vr=False, little_endian=True)
    instance = ReceivedInstance(
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="CT1",
        body=[body.getvalue()],
    )
    index = IndexWriter(resources.sessions, maximum_delay_seconds=seconds)
    if not seconds:
        return InstanceIngest(resources, index).keep(instance)
    index.start()
    try:
        return InstanceIngest(resources, index).keep(instance)
    finally:
        index.stop()


def rows(resources: Resources) -> list[str]:
    with resources.sessions.reading() as session:
        return list(session.scalars(select(Instance.path)))


def settings_of(
    name: str, folder: Path, bucket: ObjectsAddress, *, pacs_port: int = 11112, more: str = ""
) -> Settings:
    (folder / "key").write_text(f"{bucket.key_id}:{bucket.key}\n")
    ini = folder / f"{name}.ini"
    database = database_url(folder)
    ini.write_text(
        INI.format(name=name, database=database, bucket=bucket, pacs_port=pacs_port) + more
    )
    return load(ini)


def nowhere(bucket: ObjectsAddress) -> ObjectsAddress:
    return replace(bucket, endpoint=f"http://127.0.0.1:{free_port()}")


def test_success_is_answered_when_object_and_row_are_there(
    resources: Resources, slices: list[Dataset], bucket: ObjectsAddress, tmp_path: Path
) -> None:
    assert keep(slices[0], resources) == SUCCESS
    (path,) = rows(resources)
    another = ObjectFolder(tmp_path / "b", 0, object_store_at(bucket))
    assert another.absent([path]) == set()
    assert another.locate(path).read_bytes() == resources.folder.locate(path).read_bytes()


def test_nothing_is_answered_well_while_the_bucket_is_away(
    resources: Resources, slices: list[Dataset], bucket: ObjectsAddress, tmp_path: Path
) -> None:
    away = ObjectFolder(tmp_path / "a", 0, object_store_at(nowhere(bucket)))
    assert keep(slices[0], replace(resources, folder=away)) == OUT_OF_RESOURCES
    assert rows(resources) == []
    assert keep(slices[0], resources) == SUCCESS


def test_nothing_is_answered_well_before_its_row_is_written(
    resources: Resources, slices: list[Dataset]
) -> None:
    assert keep(slices[0], resources, seconds=0) == OUT_OF_RESOURCES
    assert rows(resources) == []
    assert keep(slices[0], resources) == SUCCESS  # it comes again, perhaps to another receiver
    assert len(rows(resources)) == 1


def test_storage_is_committed_for_what_is_in_the_bucket(
    resources: Resources, slices: list[Dataset]
) -> None:
    assert keep(slices[0], resources) == SUCCESS
    (path,) = rows(resources)
    assert resources.folder.absent([path]) == set()
    folder = cast(ObjectFolder, resources.folder)
    folder.store.remove([version.key for version in folder.store.versions(path)])
    assert resources.folder.absent([path]) == {path}  # whatever copy there is


def test_the_comparison_looks_at_the_bucket(
    resources: Resources, slices: list[Dataset], tmp_path: Path
) -> None:
    for ds in slices[:2]:
        assert keep(ds, resources) == SUCCESS
    folder = cast(ObjectFolder, resources.folder)
    shutil.rmtree(folder.root / "incoming")  # copies, nothing else
    asked = Request(
        database_url=resources.sessions.url,
        folder=str(folder.root),
        objects=folder.objects,
        now=resources.clock() + timedelta(hours=1),
        after="",
        seconds=60,
    )
    lost, unknown = rows(resources)[0], "incoming/00/0-1.dcm"
    folder.store.remove([version.key for version in folder.store.versions(lost)])
    folder.store.put(unknown, tmp_path / "a" / "station")
    found = {(one.kind, one.count) for one in ComparisonProcess().run(asked).findings}
    assert found == {(Kind.INSTANCES_MISSING, 1), (Kind.NOT_INDEXED, 1)}


@POSTGRESQL
def test_another_receiver_ends_what_one_that_is_gone_has_kept(
    tmp_path: Path,
    bucket: ObjectsAddress,
    slices: list[Dataset],
    pacs: StandInPacs,
    opened: ExitStack,
) -> None:
    first = open_node(settings_of("a", tmp_path, bucket))
    for ds in slices:
        assert keep(ds, keyed(first)) == SUCCESS
    first.close()
    shutil.rmtree(tmp_path / "a")  # the host is gone, with all it had

    settings = settings_of("b", tmp_path, bucket, pacs_port=pacs.port)
    shared = opened.enter_context(held_folder(settings))
    node = start_node(
        settings,
        open_node(settings),
        make_engine=lambda *_: cast(ComputeEngine, LightEngine()),
        shared=shared,
    )
    opened.callback(node.stop)
    wait_until(lambda: len(pacs.received) == len(KINDS), seconds=60, what="the results")
    with node.resources.sessions() as session:
        (line,) = overview(session).series
    assert line.instances == len(slices)
    assert len(node.resources.folder.paths_in("results")) == 1


@POSTGRESQL
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, bucket: ObjectsAddress) -> None:
    settings = settings_of("a", tmp_path, bucket)
    away = settings_of("a", tmp_path, nowhere(bucket))
    assert [
        fault for fault in faults(away) if fault.startswith(f"[storage] objects: {bucket.url}: ")
    ]

    pressed = settings_of("a", tmp_path, bucket, more="[retention]\ndisk_pressure_gb = 5\n")
    with pytest.raises(NodeError, match=r"\[retention\] disk_pressure_gb: expected 0"):
        check_receiver(pressed)
    alone = settings.model_copy(update={"node": settings.node.model_copy(update={"receiver": ""})})
    with pytest.raises(NodeError, match="expected one of several receivers"):
        check_receiver(alone)

    with (
        held_folder(settings) as shared,
        pytest.raises(NodeError, match="expected no --new-folder"),
    ):
        start_node(settings, open_node(settings), adopt=True, shared=shared)


@POSTGRESQL
def test_a_bucket_without_the_files_of_its_database_is_refused(
    tmp_path: Path, bucket: ObjectsAddress, slices: list[Dataset]
) -> None:
    first = open_node(settings_of("a", tmp_path, bucket))
    assert keep(slices[0], keyed(first)) == SUCCESS
    first.close()
    other = replace(bucket, url=f"{bucket.url}-other")
    settings = settings_of("b", tmp_path, other)
    with pytest.raises(NodeError, match="in which there is no installation"):
        open_node(settings)
    assert [one for one in faults(settings) if "in which there is no installation" in one]


@POSTGRESQL
def test_older_tables_are_left_to_an_operator(
    tmp_path: Path, bucket: ObjectsAddress, opened: ExitStack
) -> None:
    settings = settings_of("a", tmp_path, bucket)
    resources = open_node(settings)
    with resources.sessions.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0030'"))
    resources.close()
    with pytest.raises(NodeError, match="change no tables when they start"):
        open_node(settings)
    assert [one for one in faults(settings) if "the database is of an older version (0030" in one]


def test_a_repair_takes_up_what_the_bucket_has_without_a_row(
    resources: Resources, slices: list[Dataset]
) -> None:
    assert keep(slices[0], resources) == SUCCESS
    assert keep(slices[1], resources, seconds=0) == OUT_OF_RESOURCES  # killed before its row
    for copy in (resources.folder.root / "incoming").glob("*/*"):
        copy.unlink()
    repair(resources)
    assert len(rows(resources)) == 2
    assert resources.folder.absent(rows(resources)) == set()


def test_quarantine_comes_back_from_the_bucket(resources: Resources, slices: list[Dataset]) -> None:
    assert keep(slices[0], resources, seconds=0) == OUT_OF_RESOURCES
    (path,) = (path for place in INSTANCE_FOLDERS for path in resources.folder.paths_in(place))
    moved = resources.folder.quarantine(path)
    (resources.folder.root / moved).unlink()
    assert reinject(resources, None) == 1
    assert rows(resources) == [path]
    assert resources.folder.absent([path]) == set()


def test_what_is_not_what_was_put_is_a_fault_of_the_node(resources: Resources) -> None:
    resources.folder.damaged.add("incoming/00/a.dcm")
    tell_damaged(resources)
    (fault,) = resources.health.snapshot()
    assert (fault.part, fault.reason[:41]) == (DAMAGED, "1 objects of the bucket are not what was ")
    resources.folder.damaged.clear()
    tell_damaged(resources)
    assert resources.health.snapshot() == ()


def test_a_bucket_that_is_away_is_a_fault_of_the_node_until_it_answers(
    resources: Resources, bucket: ObjectsAddress
) -> None:
    away = ObjectFolder(resources.folder.root, 0, object_store_at(nowhere(bucket)))
    assert folder_is_away(replace(resources, folder=away))
    (fault,) = resources.health.snapshot()
    assert fault.reason.startswith(f"nothing is kept, analysed or sent: {bucket.url}: ")
    assert not folder_is_away(resources)
    assert resources.health.snapshot() == ()


def test_the_console_shows_what_it_can_while_the_bucket_is_away(
    resources: Resources, slices: list[Dataset], bucket: ObjectsAddress, tmp_path: Path
) -> None:
    assert keep(slices[0], resources) == SUCCESS
    (path,) = rows(resources)
    for address, is_there in ((nowhere(bucket), False), (bucket, True)):
        settings = settings_of("b", tmp_path, address)
        ObjectFolder(settings.storage.folder, 0, object_store_at(address))
        console = Console(
            sessions=resources.sessions, settings=lambda now=settings: now, is_secure=False
        )
        assert console.located({"1": path})["1"].is_file() is is_there


def test_a_backup_has_no_copies(resources: Resources, slices: list[Dataset]) -> None:
    assert keep(slices[0], resources) == SUCCESS
    names = {
        path.name for path in files_of(resources.folder.root, "postgresql://host/node", COPIES)
    }
    assert names == {"station", "identity-key"}
