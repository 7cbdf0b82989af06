"""Bytes that have changed since they were kept are found; whole ones, and missing ones, are not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.maintenance.consistency import REMEDIES
from dicom_node.maintenance.contents import Compared, compare_contents
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.resources import Resources
from storage.files.sums import SUMS
from storage.maintenance.consistency import Finding, Kind
from tests.support.dispatcher_samples import RESULT, Workers, dispatcher, open_resources
from tests.support.samples.received_series import receive


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of three instances and its result of three files."""
    resources = open_resources(tmp_path)
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    return resources


def changed(resources: Resources) -> tuple[list[Finding], Compared]:
    compared = Compared()
    return list(compare_contents(resources, compared)), compared


def an_instance(resources: Resources) -> Path:
    return sorted(resources.folder.root.glob("incoming/*/*.dcm"))[0]


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_what_is_whole_is_in_order(resources: Resources) -> None:
    assert changed(resources) == ([], Compared(files=6))


def test_one_bit_of_an_instance_is_found(resources: Resources) -> None:
    flip(an_instance(resources))

    (finding,), _ = changed(resources)

    path = an_instance(resources).relative_to(resources.folder.root).as_posix()
    assert (finding.kind, finding.what) == (Kind.INSTANCE_CHANGED, path)
    assert REMEDIES[finding.kind]


@pytest.mark.parametrize("name", ["0000-segmentation.dcm", "analysis.npz", SUMS])
def test_one_bit_of_a_result_is_found(resources: Resources, name: str) -> None:
    path = resources.folder.locate(f"results/k1/{name}")
    flip(path, 0) if path.stat().st_size else path.write_bytes(b"x")

    (finding,), _ = changed(resources)

    assert finding.kind is Kind.RESULT_CHANGED


def test_one_bit_of_what_was_encoded_later_is_found(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    receive(resources)
    heatmap = replace(RESULT.objects[0], kind="heatmap", sop_instance_uid="2.25.200")
    whole = replace(RESULT, objects=(*RESULT.objects, heatmap))
    dispatcher(resources, Workers(whole)).dispatch()
    assert changed(resources) == ([], Compared(files=7))
    path = "results/k1/later/0002-heatmap.dcm"
    flip(resources.folder.locate(path), 0)

    (finding,), _ = changed(resources)

    assert (finding.kind, finding.what) == (Kind.RESULT_CHANGED, path)


def test_what_is_missing_is_told_by_the_other_comparison(resources: Resources) -> None:
    an_instance(resources).unlink()
    assert changed(resources)[0] == []


def test_the_header_of_the_latest_sender_does_not_count(resources: Resources) -> None:
    received = ReceivedInstance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="ANOTHER",
        body=[],
    )
    path = an_instance(resources)
    digest = path.stem.partition("-")[2]
    path.write_bytes(received.header + path.read_bytes())

    assert digest
    assert changed(resources)[0] == []


def test_results_without_digests_are_counted(resources: Resources) -> None:
    resources.folder.locate(f"results/k1/{SUMS}").unlink()
    assert changed(resources) == ([], Compared(files=3, without_digests=1))


def test_the_digests_are_those_that_sha256sum_checks(resources: Resources) -> None:
    folder = resources.folder.locate("results/k1")
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True)


def test_the_command_says_what_and_ends_with_1(resources: Resources, tmp_path: Path) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\n")
    command = ["doctor", "--contents", "--config", str(ini)]
    whole = CliRunner().invoke(app, command)
    flip(an_instance(resources))

    broken = CliRunner().invoke(app, command)

    assert (whole.exit_code, broken.exit_code) == (0, 1)
    assert "6 files compared." in whole.output
    assert "instance whose bytes have changed: incoming/" in broken.output
