"""The units of systemd are strict, name commands that there are, and wait for a stop."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.main import get_command

from dicom_node.cli.app import app
from dicom_node.node.deadlines import STOP_SECONDS
from tests.support.paths import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
EXPOSURE = 20  #: tenths of what `systemd-analyze security` gives at most
PROGRAM = "/opt/dicom-node/bin/dicom-node "
by_name = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def section(unit: Path, name: str) -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it
    parser.read(unit)
    return dict(parser[name])


def service(unit: Path) -> dict[str, str]:
    return section(unit, "Service")


@by_name
def test_its_command_is_one(unit: Path) -> None:
    words = service(unit)["ExecStart"].removeprefix(PROGRAM).split()
    commands = get_command(app).commands  # type: ignore[attr-defined]  # of a group

    assert words[0] in commands
    assert words[1:] == ["--config", "/etc/dicom-node/dicom-node.ini"]


@by_name
def test_a_stop_is_waited_for(unit: Path) -> None:
    assert float(service(unit)["TimeoutStopSec"]) > STOP_SECONDS


@by_name
def test_a_start_that_fails_is_tried_again_for_ever(unit: Path) -> None:
    """What it needs may come later than this host; what it starts without keeps it from nothing."""
    assert service(unit)["Restart"] == "always"
    assert section(unit, "Unit")["StartLimitIntervalSec"] == "0"
    assert "ExecStartPre" not in service(unit)


@by_name
def test_its_log_may_be_a_file(unit: Path) -> None:
    assert service(unit)["LogsDirectory"] == "dicom-node"


@by_name
def test_it_is_exposed_to_little(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not installed: systemd")
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit)]
    looked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert looked.returncode == 0, re.findall(".*✗.*", looked.stdout)


@by_name
def test_its_syntax_is_known(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not installed: systemd")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(PROGRAM.strip(), shutil.which("true") or "/bin/true"))
    looked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert unit.name not in looked.stderr
