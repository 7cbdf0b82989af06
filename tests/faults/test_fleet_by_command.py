"""An engine on several machines, from its certificates on, by the commands of an operator."""

import os
import signal
import socket
import subprocess
import sys
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
from dicom_node.network.tls import Credentials
from tests.support.fleet import tend_until
from tests.support.fleet_tasks import find_files, prove
from tests.support.node_process import free_port
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

INI = """\
[engine]
scheduler = tls://localhost:{port}
certificate = {folder}/{host}.pem
key = {folder}/{host}.key
authorities = {folder}/authority.pem
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dicom_node", *words]


def make_certificates(folder: Path, *hosts: str) -> None:
    named = [word for host in hosts for word in ("--host", host)]
    subprocess.run(command("certificates", str(folder), *named), check=True, cwd=ROOT)


def credentials(folder: Path, host: str) -> Credentials:
    return Credentials(
        certificate=folder / f"{host}.pem",
        key=folder / f"{host}.key",
        authorities=folder / "authority.pem",
    )


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of a scheduler with one worker, and the folder of the certificates."""
    folder, port = tmp_path / "engine", free_port()
    make_certificates(folder, "scheduler1", "gpu1", "node1")
    running = []
    for what, host in (("scheduler", "scheduler1"), ("worker", "gpu1")):
        ini = tmp_path / f"{what}.ini"
        own = f"fetch_folder = {tmp_path}/fetched/own\n" if what == "worker" else ""
        ini.write_text(INI.format(port=port, folder=folder, host=host) + own)
        more = ("--bind", "127.0.0.1") if what == "scheduler" else ()
        with (tmp_path / f"{what}.log").open("w") as log:
            running.append(
                subprocess.Popen(
                    command(what, "--config", str(ini), *more), stdout=log, stderr=log, cwd=ROOT
                )
            )
    yield f"tls://localhost:{port}", folder
    for process in reversed(running):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in running] == [0, 0]


def instance(path: Path) -> EndsRequest:
    path.write_bytes(b"an image")
    digest = sha256(b"an image").hexdigest()
    return EndsRequest(files=(SourceFile(path=path, sop_instance_uid="1", digest=digest),))


def test_a_node_analyses_there_and_a_stranger_cannot(
    fleet: tuple[str, Path], tmp_path: Path
) -> None:
    scheduler, folder = fleet
    health = Health()
    ours = EngineAddress(scheduler=scheduler, credentials=credentials(folder, "node1"))
    engine = ComputeEngine(partial(connect, ours), prove, health, renewed=False)
    tend_until(engine, lambda: engine.slots == 1, health)
    assert engine.submit(os.getpid).result(60) != os.getpid()
    found = engine.submit(find_files, instance(tmp_path / "instance.dcm")).result(60)
    assert found.digests == (sha256(b"an image").hexdigest(),)
    assert found.paths[0].is_relative_to(tmp_path / "fetched" / "own")
    assert list((tmp_path / "fetched" / "own").iterdir()) == []
    engine.close()

    make_certificates(tmp_path / "other", "node1")
    theirs = EngineAddress(
        scheduler=scheduler, credentials=credentials(tmp_path / "other", "node1")
    )
    with pytest.raises(EngineAway, match="TLS"):
        connect(theirs)


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    make_certificates(tmp_path, "localhost")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ini = tmp_path / "scheduler.ini"
        port = taken.getsockname()[1]
        ini.write_text(INI.format(port=port, folder=tmp_path, host="localhost"))
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
