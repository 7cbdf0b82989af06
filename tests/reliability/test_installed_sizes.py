"""A wheel installs by role in a clean environment, which takes up what the documentation says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.unit.test_roles import HEAVY

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

MEGABYTE = 10**6  #: bytes
TOLERANCE = 0.15  #: of a stated size: libraries grow from release to release
STATED = re.compile(r"^\| (?P<role>[a-z]+)[^|]* \| (?P<size>[\d,]+) \|$", re.M)


def run(*words: str | Path, folder: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source; skips where no package can be had."""
    place = tmp_path_factory.mktemp("wheel")
    tried = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "packaging"]
    if subprocess.run([*tried, "--dest", place / "any"], check=False).returncode:
        pytest.skip("no packages to be had")
    source = place / "source"
    source.mkdir()
    files = run("git", "-C", ROOT, "ls-files", "-z").split("\0")
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", source, "-w", place / "made")
    (made,) = (place / "made").glob("*.whl")
    return made


def test_a_receiving_host_takes_up_what_is_stated_and_nothing_that_computes(
    wheel: Path, tmp_path: Path
) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python, program = place / "bin" / "python", place / "bin" / "dicom-node"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    (tmp_path / "requirements.txt").write_text(run(python, "-m", "dicom_node.roles", "receiver"))
    constraints = ("-c", ROOT / "constraints.txt", "-r", tmp_path / "requirements.txt")
    run(python, "-m", "pip", "install", "--quiet", *constraints)

    absent = run(
        python,
        "-c",
        f"from importlib.util import find_spec as f; print([n for n in {HEAVY} if f(n)])",
        folder=tmp_path,
    )
    assert absent.strip() == "[]"
    (tmp_path / "node.ini").write_text("[engine]\nscheduler = tls://127.0.0.1:8786\n")
    assert "[node]" in run(program, "example", folder=tmp_path)
    sbom = tmp_path / "sbom.json"
    run(program, "governance", "sbom", sbom, "--config", tmp_path / "node.ini", folder=tmp_path)
    assert '"torch"' not in sbom.read_text()
    stated = stated_sizes()["receiver"]
    assert taken_up(place) == pytest.approx(stated, rel=TOLERANCE), "see docs, Install by role"


def stated_sizes() -> dict[str, float]:
    """Sizes by role in the documentation, MB."""
    text = (ROOT / "docs" / "administrator" / "running.md").read_text()
    return {one["role"]: float(one["size"].replace(",", "")) for one in STATED.finditer(text)}


def taken_up(folder: Path) -> float:
    """Sum of the files of a folder, MB."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / MEGABYTE
