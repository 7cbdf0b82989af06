"""A receiving host does without what computes; lists of roles cannot drift from what is needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import send
from dicom_node.roles import ADDED, ROLES, constraints
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.fleet import Fleet
from tests.support.node_process import INI, NodeProcess, free_port, wait_until
from tests.support.paths import ROOT
from tests.support.peers.credentials import credentials

HEAVY = ("torch", "SimpleITK", "scipy", "imagecodecs", "highdicom", "safetensors", "reportlab")
OTHERS = (
    "PIL",
    "jinja2",
    "argon2",
    "matplotlib",
    "sklearn",
    "psycopg",
    "authlib",
    "apprise",
    "obstore",
)
"""Libraries that a receiving host has not, by the names of their modules."""

WITHOUT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY + OTHERS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
from dicom_node.cli.app import main
sys.argv[0] = "dicom-node"
main()
"""


def setup_cfg() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def listed(text: str) -> set[str]:
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_the_whole_node_is_all_roles_together() -> None:
    extras = setup_cfg()["options.extras_require"]
    of_roles = set().union(*(listed(extras[role]) for role in ROLES))

    assert of_roles - {"dicom-node[receiver]"} == listed(setup_cfg()["options"]["install_requires"])
    assert listed(extras["all"]) == {f"dicom-node[{','.join(ADDED)}]"}
    assert listed(extras["receiver"]) & {"torch", "SimpleITK", "scipy", "highdicom"} == set()


@pytest.mark.parametrize("role", [*ROLES, "receiver postgres"])
def test_a_role_says_what_it_needs_with_nothing_but_python(role: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-c", NOTHING_BUT_PYTHON, *role.split()],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert listed(ended.stdout) == {
        "alembic",
        "torch",
        *(["psycopg[binary]>=3.1"] if "postgres" in role else []),
    } - ({"torch"} if role != "worker" else set())


NOTHING_BUT_PYTHON = """
import dicom_node.roles as roles
roles.requires = lambda name: [
    "torch", "alembic; extra == 'receiver'", "dicom-node[receiver]; extra == \\"worker\\"",
    "torch; extra == 'worker'", "dicom-node[receiver]; extra == 'console'",
    "psycopg[binary]>=3.1; extra == 'postgres'",
]
roles.main()
"""


@pytest.mark.parametrize("words", [(), ("all",), ("receiver", "torch")])
def test_a_role_that_is_none_is_told_with_those_there_are(words: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dicom_node.roles", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert ended.returncode == 1
    assert (
        "expected receiver, worker, console, postgres, oidc, training, notify, s3, got"
        in ended.stderr
    )


def test_the_package_brings_its_constraints() -> None:
    assert constraints() == (ROOT / "constraints.txt").read_text()
    assert CliRunner().invoke(app, ["constraints"]).output == constraints()


def dicom_node(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node whose analyses wait for a worker of a scheduler, which has none."""
    fleet = Fleet(tmp_path)
    files = credentials(tmp_path / "tls", trustme.CA(), "node")
    fleet.start_scheduler(
        *("--protocol", "tls", "--tls-ca-file", str(files.authorities)),
        *("--tls-cert", str(files.certificate), "--tls-key", str(files.key)),
    )
    engine = (
        f"[engine]\nscheduler = tls://localhost:{fleet.port}\ncertificate = {files.certificate}\n"
        f"key = {files.key}\nauthorities = {files.authorities}\n"
    )
    node = NodeProcess(tmp_path, free_port())
    node.ini.write_text(INI.format(port=node.port, pacs_port=free_port(), quiet=1, more=engine))
    wait_until(lambda: answers(fleet.port), seconds=60, what="the scheduler")
    yield node
    if node.process is not None and node.process.poll() is None:
        node.kill()
    fleet.stop()


@pytest.mark.slow
def test_a_receiving_host_checks_starts_receives_and_waits_for_a_worker(
    node: NodeProcess, tmp_path: Path
) -> None:
    checked = dicom_node("check", "--config", str(node.ini))
    said, _ = checked.communicate(timeout=120)
    assert (checked.returncode, "in order" in said) == (0, True), said
    with (tmp_path / "node.log").open("w") as log:
        node.process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT, "run", "--config", str(node.ini)],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    wait_until(node.answers, seconds=60, what=f"a start:\n{node.log()}")

    outcomes = send(outgoing_files(ct(tmp_path))[0], node.peer, calling_ae="CT1")

    assert {outcome.verdict for _, outcome in outcomes} == {Verdict.ACCEPTED}
    node.wait_for_state("stable")
    (series,) = node.overview().series
    assert (series.instances, series.attempts) == (4, 0)
    asked = dicom_node("queue", "--config", str(node.ini))
    assert "1 series wait" in asked.communicate(timeout=60)[0]
    assert node.stop() == 0
    assert "Traceback" not in node.log()


def ct(folder: Path) -> Path:
    chest = make_phantom(PhantomSpec(slices=4, size=32))
    write_series(phantom_datasets(chest, seed=1), folder / "ct")
    return folder / "ct"


@pytest.mark.slow
def test_what_is_absent_would_be_missed_where_it_computes(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    process = dicom_node("process", str(ct(tmp_path)), "--out", str(tmp_path / "out"))

    said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "ModuleNotFoundError" in said
