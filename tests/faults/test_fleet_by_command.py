"""An engine on several machines, from its certificates on, by the commands of an operator."""

import os
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.engine.connection import EngineAddress, connect
from dicom_node.analysis.worker.messages import EndsRequest, SourceFile
from dicom_node.errors import EngineAway
from dicom_node.health import Health
from tests.support.fleet import SETTINGS, TlsFleet, command, make_certificates, tend_until
from tests.support.fleet_tasks import find_files, prove
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[TlsFleet]:
    """A scheduler with one worker that fetches."""
    fleet = TlsFleet(tmp_path / "engine")
    fleet.start_scheduler()
    fleet.start_worker("gpu1", fetch_folder=tmp_path / "fetched" / "own")
    yield fleet
    assert fleet.stop() == [0, 0]


def instance(path: Path) -> EndsRequest:
    path.write_bytes(b"an image")
    digest = sha256(b"an image").hexdigest()
    return EndsRequest(files=(SourceFile(path=path, sop_instance_uid="1", digest=digest),))


def test_a_node_analyses_there_and_a_stranger_cannot(fleet: TlsFleet, tmp_path: Path) -> None:
    health = Health()
    ours = EngineAddress(scheduler=fleet.address, credentials=fleet.credentials("node1"))
    engine = ComputeEngine(partial(connect, ours), prove, health, renewed=False)
    tend_until(engine, lambda: engine.slots == 1, health)
    assert engine.submit(os.getpid).result(60) != os.getpid()
    found = engine.submit(find_files, instance(tmp_path / "instance.dcm")).result(60)
    assert found.digests == (sha256(b"an image").hexdigest(),)
    assert found.paths[0].is_relative_to(tmp_path / "fetched" / "own")
    assert list((tmp_path / "fetched" / "own").iterdir()) == []
    engine.close()

    stranger = TlsFleet(tmp_path / "other")
    theirs = EngineAddress(scheduler=fleet.address, credentials=stranger.credentials("node1"))
    with pytest.raises(EngineAway, match="TLS"):
        connect(theirs)


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    make_certificates(tmp_path, "localhost")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ini = tmp_path / "scheduler.ini"
        port = taken.getsockname()[1]
        ini.write_text(SETTINGS.format(port=port, folder=tmp_path, host="localhost"))
        ended = subprocess.run(
            command("scheduler", "--config", str(ini), "--bind", "127.0.0.1"),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr
