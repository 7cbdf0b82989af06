"""Doubts about settings and libraries that do not keep the node from working."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from config.reader import load
from config.settings import Settings
from dicom_node.assembly.security import CertificateWatch
from dicom_node.network.pynetdicom_internals.version import TESTED
from dicom_node.preflight.doubts import doubts
from dicom_node.preflight.faults import faults
from pipeline.model.manifest import BUNDLED
from tests.support.reception import open_resources
from tests.support.samples.second_model import second_model
from tests.support.scanner_groups import write_model_with_groups

INI = """
[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = 11113
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ini = tmp_path / "node.ini"
    ini.write_text(INI)
    return load(ini)


def test_a_reserve_that_is_in_use_is_doubtful(settings: Settings) -> None:
    storage = settings.storage.model_copy(update={"reserve_gb": 1e9})

    (doubt,) = doubts(settings.model_copy(update={"storage": storage}))

    assert doubt.startswith("[storage] reserve_gb: instances are refused (A700): expected more")


@pytest.mark.parametrize("version", TESTED)
def test_a_tested_pynetdicom_is_no_doubt(settings: Settings, version: str) -> None:
    assert doubts(settings, pynetdicom=version) == []


def test_an_untested_pynetdicom_is_doubtful(settings: Settings) -> None:
    assert doubts(settings, pynetdicom="3.1.0") == [
        "pynetdicom 3.1.0: this node was tested with 3.0.4; it receives and sends by the slower way"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("none", "[shadow] model: "),
        ("altered", "[shadow] model: classifier.safetensors is not the file"),
        ("half", "[shadow] model: expected a file that can be read"),
        (str(BUNDLED), "[shadow] model: expected another model than the one in use"),
    ],
)
def test_a_second_model_that_cannot_be_used_is_doubtful_and_no_fault(
    tmp_path: Path, model: str, words: str
) -> None:
    weights = second_model(tmp_path / "altered") / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    (second_model(tmp_path / "half") / "classifier.safetensors").unlink()
    ini = tmp_path / "node.ini"
    ini.write_text(f"{INI}[storage]\nfolder = {tmp_path / 'data'}\n[shadow]\nmodel = {model}\n")
    settings = load(ini)

    (doubt,) = doubts(settings, pynetdicom=TESTED[0])

    assert doubt.startswith(words)
    assert faults(settings) == []


@pytest.mark.parametrize(
    ("chosen", "is_doubtful"),
    [
        ("model = {groups}\nbounds_by_scanner = yes", False),
        ("model = {groups}\nbounds_by_scanner = yes\nthreshold = 0.3", True),
        ("bounds_by_scanner = yes", True),
        ("", False),
    ],
)
def test_bounds_by_scanner_that_decide_nothing_are_doubtful(
    tmp_path: Path, chosen: str, is_doubtful: bool
) -> None:
    groups = write_model_with_groups(tmp_path / "groups")
    ini = tmp_path / "node.ini"
    storage = f"[storage]\nfolder = {tmp_path / 'data'}\n"
    ini.write_text(f"{INI}{storage}[analysis]\n{chosen.format(groups=groups)}\n")

    found = doubts(load(ini), pynetdicom=TESTED[0])

    assert [one.partition(":")[0] for one in found] == (
        ["[analysis] bounds_by_scanner"] if is_doubtful else []
    )


NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days_before", "days_after", "words"),
    [
        (-100, 31, []),
        (-100, 29, ["expires on 2026-06-30: renew it"]),
        (-100, -1, ["has expired, on 2026-05-31: renew it, peers refuse it or are refused"]),
        (1, 100, ["is valid from 2026-06-02 only"]),
    ],
)
def test_our_own_certificate_must_be_valid_for_a_month(
    tmp_path: Path, days_before: int, days_after: int, words: list[str]
) -> None:
    leaf = trustme.CA().issue_cert(
        "localhost",
        not_before=NOW + timedelta(days=days_before),
        not_after=NOW + timedelta(days=days_after),
    )
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "node.pem")
    ini = tmp_path / "node.ini"
    ini.write_text(f"{INI}[tls]\nreceive = yes\ncertificate = {tmp_path / 'node.pem'}\n")

    found = doubts(load(ini), pynetdicom=TESTED[0], now=NOW)

    assert [doubt.partition("node.pem ")[2] for doubt in found] == words


def test_a_certificate_that_expires_while_the_node_runs_is_in_its_condition(
    tmp_path: Path,
) -> None:
    certificate, now = tmp_path / "node.pem", [NOW]
    authority = trustme.CA()

    def issue(days: int) -> None:
        leaf = authority.issue_cert("localhost", not_after=NOW + timedelta(days=days))
        leaf.cert_chain_pems[0].write_to_path(certificate)

    issue(days=40)
    ini = tmp_path / "node.ini"
    ini.write_text(f"{INI}[tls]\nreceive = yes\ncertificate = {certificate}\n")
    resources = replace(open_resources(tmp_path), clock=lambda: now[0])
    watch = CertificateWatch(settings=load(ini), resources=resources)
    watch.look()
    assert resources.health.snapshot() == ()
    now[0] += timedelta(days=41)
    watch.look()
    (fault,) = resources.health.snapshot()
    assert "[tls] certificate" in fault.reason
    assert "has expired" in fault.reason
    issue(days=400)
    watch.look()
    assert resources.health.snapshot() == ()


def test_a_certificate_of_an_authority_must_be_valid_too(tmp_path: Path) -> None:
    """One authority of a bundle has expired: it is named, and which of them it is."""
    bundle = tmp_path / "authorities.pem"
    old = trustme.CA().issue_cert("old.example", not_after=NOW - timedelta(days=3))
    bundle.write_bytes(trustme.CA().cert_pem.bytes() + old.cert_chain_pems[0].bytes())
    ini = tmp_path / "node.ini"
    web = "[destination WEB]\nurl = https://pacs.example/dicom-web\n"
    ini.write_text(f"{INI}[tls]\nauthorities = {bundle}\n{web}")

    (doubt,) = doubts(load(ini), pynetdicom=TESTED[0], now=NOW)

    assert doubt.startswith(f"[tls] authorities: {bundle} (")
    assert "has expired, on 2026-05-29" in doubt


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[destination SELF]\nae_title = AINODE\nhost = localhost\nport = 11112\n", "this node"),
        ("[destination WEB]\nurl = http://127.0.0.1:8042/dicom-web\n", "this node"),
        ("[destination AGAIN]\nae_title = PACS\nhost = 127.0.0.1\nport = 11113\n", "same as"),
        (
            "[destination A]\nurl = https://pacs.invalid/dicom-web\n"
            "[destination B]\nurl = https://pacs.invalid:443/dicom-web\n",
            "same as [destination A]",
        ),
    ],
)
def test_a_destination_that_is_this_node_or_there_twice_is_doubtful(
    tmp_path: Path, more: str, words: str
) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"{INI}{more}[dicomweb]\nport = 8042\n")

    (doubt,) = doubts(load(ini), pynetdicom=TESTED[0])

    assert words in doubt


def test_other_destinations_are_no_doubt(tmp_path: Path) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"{INI}[destination B]\nae_title = B\nhost = 127.0.0.1\nport = 11113\n")
    assert doubts(load(ini), pynetdicom=TESTED[0]) == []


def test_what_a_command_writes_is_for_this_user_alone(tmp_path: Path) -> None:
    script = "umask 022; exec {} -m dicom_node phantom ct --slices 2 --lesions 0"
    subprocess.run(["sh", "-c", script.format(sys.executable)], cwd=tmp_path, check=True)

    written = list((tmp_path / "ct").iterdir())
    assert len(written) == 2
    assert {path.stat().st_mode & 0o077 for path in [tmp_path / "ct", *written]} == {0}


@pytest.mark.parametrize("kept_from", ["data", "parent"])
def test_a_folder_that_may_not_be_read_is_one_fault_among_others(
    tmp_path: Path, kept_from: str
) -> None:
    """As another user would see it; root is one without the right to read all."""
    is_root = os.geteuid() == 0
    if is_root and shutil.which("setpriv") is None:
        pytest.skip("not installed: setpriv")
    place = tmp_path / "parent"
    ini = tmp_path / "node.ini"
    elsewhere = "[engine]\nscheduler = tls://127.0.0.1:1\n"  # no networks are loaded here
    ini.write_text(f"[storage]\nfolder = parent/data\n[node]\nbind = 192.0.2.7\n{elsewhere}")
    place.mkdir()
    open_resources(place / "data").close()
    closed = place if kept_from == "parent" else place / "data"
    closed.chmod(0o700 if is_root else 0)
    if is_root:
        os.chown(closed, 1, -1)
    others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if is_root else []
    try:
        command = [*others, sys.executable, "-m", "dicom_node", "check", "--json", "-c", str(ini)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        closed.chmod(0o700)

    address, folder, *_ = json.loads(ended.stdout)["faults"]
    assert address.startswith("[node] bind")
    assert folder.startswith("[storage] folder: expected a folder we may write to")
    assert ended.returncode == 1
