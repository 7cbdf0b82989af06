"""The command `notify`, and finding the series of a reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import NodeError
from tests.support.peers.web_sink import Posted, web_sink
from tests.support.results_due import CT, Hands, store_with_results


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "node.ini"
    path.write_text(f"[storage]\nfolder = {tmp_path}\n[notify]\nrecipients_file = recipients\n")
    return path


def test_a_test_message_goes_to_each_and_who_took_it_is_said(ini: Path) -> None:
    def only_one(posted: Posted) -> tuple[int, str, bytes]:
        return (500 if posted.path == "/broken" else 200), "text/plain", b""

    with web_sink(only_one) as web:
        at = f"json://127.0.0.1:{web.port}"
        (ini.parent / "recipients").write_text(f"faults {at}\nall {at}/broken\n")
        ended = CliRunner().invoke(app, ["notify", "--test", "--config", str(ini)])

    assert ended.exit_code == 1
    good, bad = ended.output.splitlines()
    assert good == "recipient in line 1 (json): faults took the message"
    assert bad.endswith("positives: the service did not take it, or is not there")
    assert json.loads(web.posted[0].body)["title"] == "dicom-node AINODE: test message"


def test_without_test_nothing_is_sent(ini: Path) -> None:
    with web_sink() as web:
        (ini.parent / "recipients").write_text(f"faults json://127.0.0.1:{web.port}\n")
        ended = CliRunner().invoke(app, ["notify", "--config", str(ini)])

    assert (ended.exit_code, ended.output) == (0, "recipient in line 1 (json): faults\n")
    assert web.posted == []


def test_that_nobody_is_told_is_said_to_programs_too(ini: Path) -> None:
    ini.write_text(f"[storage]\nfolder = {ini.parent}\n")

    ended = CliRunner().invoke(app, ["notify", "--json", "--config", str(ini)])

    assert json.loads(ended.stdout) == []
    assert isinstance(ended.exception, NodeError)


def test_check_names_the_line_that_is_wrong(ini: Path) -> None:
    (ini.parent / "recipients").write_text("faults pigeon://secret\n")
    ended = CliRunner().invoke(app, ["check", "--json", "--config", str(ini)])

    (doubt,) = [one for one in json.loads(ended.stdout)["doubts"] if "recipients_file: line" in one]
    assert "line 1: expected a URL that Apprise knows" in doubt
    assert "secret" not in ended.stdout


def test_series_are_found_by_the_reference_of_a_result(ini: Path) -> None:
    store_with_results(ini.parent, Hands(), key="0123456789ab" * 5).close()

    def found(reference: str) -> list[str]:
        words = ["series", "list", "--reference", reference, "--json", "--config", str(ini)]
        lines = json.loads(CliRunner().invoke(app, words).stdout)
        return [line["series_instance_uid"] for line in lines]

    assert found("0123456789ab") == [CT.series_instance_uid]
    assert found("0123456789ac") == []
