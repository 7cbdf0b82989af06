"""Commands of the command line, as a person types them."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from rich.console import Console
from typer.testing import CliRunner

from config.example import example_ini
from config.reader import load
from config.settings import Settings
from dicom_node.analysis.offline import FoundSeries
from dicom_node.analysis.worker.messages import Unsuitable
from dicom_node.analysis.worker.stopwatch import Progress
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import Syntax, app
from dicom_node.cli.exit_codes import ExitStatus
from dicom_node.cli.maintenance.engine import host_of
from dicom_node.cli.process import process_folder
from dicom_node.errors import NodeError, UsageError
from dicom_node.folder_lock import only_node
from pipeline.reasons import UnsuitableReason
from pipeline.synthetic.phantom.syntaxes import TRANSFER_SYNTAXES
from storage.database.engine import migrate, open_database
from storage.errors import DatabaseUnavailable, DatabaseUnusable
from storage.series.closings import record_closing
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import OpenSeries

cli = CliRunner()


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "node.ini"
    path.write_text("[destination PACS]\nae_title = PACS\nhost = 127.0.0.1\nport = 1\n")
    return path


def test_check_accepts_the_example(tmp_path: Path) -> None:
    path = tmp_path / "example.ini"
    path.write_text(cli.invoke(app, ["example"]).output)
    assert path.read_text() == example_ini()

    answer = cli.invoke(app, ["check", "--config", str(path)])

    assert answer.exit_code == 0, answer.output
    assert "in order" in answer.output
    assert "results stay here" in answer.output  # it names no destination


def test_check_names_a_missing_model_and_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "node.ini"
    path.write_text(
        "[node]\nbind = 192.0.2.1\n"
        "[storage]\nfolder = file/data\ndatabase_url = sqlite:////nowhere/at/all.db\n"
        "[analysis]\nmodel = nowhere\n"
        "[log]\nfile = nowhere/node.log\n"
    )

    answer = cli.invoke(app, ["check", "--config", str(path)])

    assert answer.exit_code == 1
    for key in ("[node] bind", "[storage] folder", "[storage] database_url", "[analysis] model"):
        assert key in answer.output
    assert "[log] file" in answer.output


def test_check_doubts_secrets_that_all_may_read(tmp_path: Path) -> None:
    path, token, mine = (tmp_path / name for name in ("node.ini", "token", "mine"))
    path.write_text(
        f"[dicomweb]\nport = 8042\ntoken_file = {mine}\n"
        f"[destination WEB]\nurl = http://127.0.0.1/dicom-web\ntoken_file = {token}\n"
    )
    for file, mode in ((token, 0o644), (mine, 0o640)):
        file.write_text("not-to-be-said")
        file.chmod(mode)

    answer = cli.invoke(app, ["check", "--config", str(path)])

    assert answer.exit_code == 0, answer.output
    assert "[destination WEB] token_file" in answer.output
    assert "[dicomweb] token_file" not in answer.output
    assert "not-to-be-said" not in answer.output


def test_a_database_that_cannot_be_opened_is_said_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "node.ini"
    path.write_text("[storage]\nfolder = data\ndatabase_url = sqlite:////nowhere/at/all.db\n")
    with pytest.raises(DatabaseUnavailable, match=r"the database cannot be opened .* see that"):
        open_resources(load(path))


def test_status_before_the_first_start_says_so(ini: Path) -> None:
    answer = cli.invoke(app, ["status", "--config", str(ini)])

    assert isinstance(answer.exception, DatabaseUnusable)
    assert "not been started" in str(answer.exception)


def test_the_state_of_a_node_is_shown_though_its_file_has_become_faulty(ini: Path) -> None:
    load(ini).storage.folder.mkdir()
    migrate(open_database(load(ini).database_url))
    ini.write_text(ini.read_text() + "\n[analysis]\nthreshold = 7\n")

    answer = cli.invoke(app, ["status", "--config", str(ini)])
    assert answer.exit_code == 0, answer.output
    assert "[analysis] threshold: expected" in answer.output
    assert "series: none" in answer.output
    assert "not running" in cli.invoke(app, ["ready", "--config", str(ini)]).output


def test_status_of_an_empty_node(ini: Path) -> None:
    load(ini).storage.folder.mkdir()
    migrate(open_database(load(ini).database_url))

    assert "series: none" in cli.invoke(app, ["status", "--config", str(ini)]).output
    answer = cli.invoke(app, ["status", "--config", str(ini), "--json"])
    status = json.loads(answer.output)
    assert (status["series"], status["running"]) == ([], False)
    with only_node(load(ini).storage.folder):
        answer = cli.invoke(app, ["status", "--config", str(ini)])
    assert "not running" not in answer.output


def test_status_tells_what_waiting_cost(ini: Path) -> None:
    resources = open_resources(load(ini))
    now = datetime.now(UTC)
    series = OpenSeries(
        series_instance_uid="9", generation=1, instances=1, calling_ae="CT1", last_at=now
    )
    empty = cli.invoke(app, ["status", "--waiting", "--config", str(ini)]).output
    with resources.sessions.begin() as session:
        facts = InstanceFacts(
            sop_instance_uid="1",
            sop_class_uid="1",
            series_instance_uid="9",
            study_instance_uid="8",
            transfer_syntax_uid="1",
            modality="CT",
            calling_ae="CT1",
            path="1",
            digest="1",
            bytes=1,
        )
        record_instance(session, facts, now)
        record_closing(session, series, "regular-stack", 5.25, now)
    resources.close()

    shown = cli.invoke(app, ["status", "--waiting", "--config", str(ini)]).output
    told = json.loads(
        cli.invoke(app, ["status", "--waiting", "--json", "--config", str(ini)]).output
    )

    assert "no series was closed" in empty
    assert "1 series, median 5.2, p95 5.2: 1 regular-stack" in shown
    (line,) = told["senders"]
    assert (line["calling_ae"], line["closed_by"]) == ("CT1", {"regular-stack": 1})


def test_status_says_that_the_disk_is_full(ini: Path) -> None:
    ini.write_text(ini.read_text() + "[storage]\nreserve_gb = 100000\n")
    load(ini).storage.folder.mkdir()
    migrate(open_database(load(ini).database_url))

    answer = cli.invoke(app, ["status", "--config", str(ini)])

    assert "GB free, the reserve is 100000 GB: instances are refused (A700)" in answer.output


def test_echo_knows_its_destinations(ini: Path) -> None:
    answer = cli.invoke(app, ["echo", "OTHER", "--config", str(ini)])

    assert "PACS" in str(answer.exception)


@pytest.mark.parametrize("title", ["", "SEVENTEEN_LETTERS"])
def test_send_checks_titles_before_it_calls(tmp_path: Path, title: str) -> None:
    answer = cli.invoke(app, ["send", str(tmp_path), "--to", title])

    assert isinstance(answer.exception, NodeError)


def test_send_says_when_there_is_nothing_to_send(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")

    answer = cli.invoke(app, ["send", str(tmp_path)])

    assert answer.exit_code == 1
    assert "no DICOM files" in answer.output


def test_phantom_writes_a_series(tmp_path: Path) -> None:
    answer = cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2", "--lesions", "0"])

    assert answer.exit_code == 0, answer.output
    assert len(list((tmp_path / "ct").glob("*.dcm"))) == 2


def test_phantom_offers_every_transfer_syntax() -> None:
    assert {syntax.value for syntax in Syntax} == set(TRANSFER_SYNTAXES)


def test_process_says_why_a_series_was_not_analysed(tmp_path: Path) -> None:
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])
    (tmp_path / "ct" / "notes.txt").write_text("no DICOM")

    answer = cli.invoke(app, ["process", str(tmp_path / "ct"), "--out", str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert "too-few-slices" in answer.output
    assert "notes.txt" in answer.output
    summary = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert summary["analysed"] is False
    assert summary["reason"].startswith("too-few-slices")


def test_process_goes_on_after_a_series_that_fails_and_names_it(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = ["phantom", str(tmp_path / "ct" / seed), "--slices", "2", "--seed", seed]
        assert cli.invoke(app, command).exit_code == 0
    said = Console(record=True, width=200)
    begun: list[str] = []

    def fails_once(
        series: FoundSeries, *_: object, **__: object
    ) -> tuple[Unsuitable, dict[str, bytes]]:
        begun.append(series.series_instance_uid)
        if len(begun) == 1:
            raise KeyError("CANARYXQ")
        return Unsuitable(code=UnsuitableReason.GAP, text="a slice is missing"), {}

    with pytest.raises(NodeError, match="1 of 2 series failed"):
        process_folder(
            tmp_path / "ct",
            tmp_path / "out",
            Settings(),
            said,
            datetime.now(UTC),
            process=fails_once,
        )

    words = said.export_text()
    assert len(set(begun)) == 2
    assert begun[0] in words
    assert "KeyError" in words
    assert "a slice is missing" in words
    assert "CANARYXQ" not in words


def test_process_prints_what_each_stage_took(tmp_path: Path) -> None:
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])
    said = Console(record=True, width=200)

    def in_stages(
        series: FoundSeries, config: object, progress: Progress, **_: object
    ) -> tuple[Unsuitable, dict[str, bytes]]:
        progress("read", 0.0)
        held = np.ones(64 * 2**20, np.uint8)
        progress("select", 0.5)
        return Unsuitable(code=UnsuitableReason.GAP, text=f"{held.size} bytes were held"), {}

    process_folder(
        tmp_path / "ct",
        tmp_path / "out",
        Settings(),
        said,
        datetime.now(UTC),
        profiled=True,
        process=in_stages,
    )

    rows = [line.split("\u2502") for line in said.export_text().splitlines() if "\u2502" in line]
    costs = {name.strip(): [float(cell) for cell in cells[:3]] for _, name, *cells in rows}
    assert list(costs) == ["read", "select", "all"]
    assert costs["all"][0] == pytest.approx(costs["read"][0] + costs["select"][0], abs=0.011)
    assert costs["all"][2] == max(costs["read"][2], costs["select"][2]) > 64


def test_process_refuses_an_instance_that_cannot_be_parsed(tmp_path: Path) -> None:
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])
    (first, _) = sorted((tmp_path / "ct").glob("*.dcm"))
    item = b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    first.write_bytes(first.read_bytes() + (b"\xe1\x7f\x10\x10" + item) * 2000)

    answer = cli.invoke(app, ["process", str(tmp_path / "ct"), "--out", str(tmp_path / "out")])

    assert answer.exit_code == 1
    assert "unreadable-instance" in answer.output


def test_process_writes_the_notice_that_a_site_wants(tmp_path: Path) -> None:
    silent = tmp_path / "node.ini"
    silent.write_text("[results]\nnot_analysed = no\n")
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])
    command = ["process", str(tmp_path / "ct"), "--out"]

    cli.invoke(app, [*command, str(tmp_path / "quiet"), "-c", str(silent)])
    cli.invoke(app, [*command, str(tmp_path / "out")])

    assert not (tmp_path / "quiet" / "notice.dcm").exists()
    notice = dcmread(tmp_path / "out" / "notice.dcm")
    assert "not analysed" in notice.SeriesDescription


def test_process_gives_the_same_uid_to_the_same_bytes_alone(tmp_path: Path) -> None:
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])

    def notice(out: str, *options: str) -> tuple[str, bytes]:
        command = ["process", str(tmp_path / "ct"), "--out", str(tmp_path / out), *options]
        cli.invoke(app, command)
        path = tmp_path / out / "notice.dcm"
        return str(dcmread(path).SOPInstanceUID), path.read_bytes()

    first, again = notice("first"), notice("again")
    assert first[0] != again[0]
    made = json.loads((tmp_path / "first" / "analysis.json").read_text())["created"]
    assert notice("repeated", "--created", made) == first
    assert notice("other", "--created", "2026-11-23T08:00:00+01:00")[0] != first[0]


def test_process_mixes_its_results_with_nothing(tmp_path: Path) -> None:
    cli.invoke(app, ["phantom", str(tmp_path / "ct"), "--slices", "2"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "heatmap.dcm").write_text("of another run")
    command = ["process", str(tmp_path / "ct"), "--out"]

    refused = cli.invoke(app, [*command, str(tmp_path / "out")])
    (tmp_path / "empty").mkdir()
    cli.invoke(app, [*command, str(tmp_path / "empty")])

    assert isinstance(refused.exception, NodeError)
    assert "expected a new or empty folder" in str(refused.exception)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["heatmap.dcm"]
    assert (tmp_path / "empty" / "analysis.json").exists()


def test_the_defaults_need_no_file() -> None:
    assert Settings().node.ae_title == "AINODE"


@pytest.mark.parametrize("command", ["status", "doctor", "run"])
def test_a_damaged_database_is_said_in_a_line(ini: Path, command: str) -> None:
    folder = load(ini).storage.folder
    folder.mkdir(parents=True)
    (folder / "node.sqlite").write_bytes(b"no database " * 1000)

    ended = subprocess.run(
        [sys.executable, "-P", "-m", "dicom_node", command, "--config", str(ini)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == ExitStatus.FAULT
    assert "error:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_cannot_be_made_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = ["phantom", str(tmp_path / "file" / "x"), "--slices", "1", "--lesions", "0"]

    ended = subprocess.run(
        [sys.executable, "-P", "-m", "dicom_node", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "error:" in ended.stderr


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("certificate = none.pem\nkey = none.pem\nauthorities = none.pem\n", "FileNotFoundError"),
        ("", "expected the files for tls://127.0.0.1:1, got none"),
    ],
)
def test_a_worker_without_its_files_for_tls_says_so_once(
    tmp_path: Path, files: str, said: str
) -> None:
    ini = tmp_path / "worker.ini"
    ini.write_text(f"[engine]\nscheduler = tls://127.0.0.1:1\n{files}")

    answer = CliRunner().invoke(app, ["worker", "--config", str(ini)])

    assert isinstance(answer.exception, NodeError)
    assert said in str(answer.exception)


def test_a_path_with_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "[red]ct"
    folder.mkdir()
    (folder / "notes.txt").write_text("no DICOM")

    sent = CliRunner().invoke(app, ["send", str(folder)]).output
    analysed = CliRunner().invoke(app, ["process", str(folder), "--out", str(tmp_path / "out")])

    assert f"no DICOM files in {folder}" in sent
    assert f"no DICOM series in {folder}" in analysed.output


@pytest.mark.parametrize(
    ("bind", "host"),
    [
        ("0.0.0.0", "0.0.0.0"),  # noqa: S104  # nothing listens
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("sched1.example.org", "sched1.example.org"),
    ],
)
def test_a_scheduler_listens_at_an_address_or_a_name(bind: str, host: str) -> None:
    assert host_of(bind) == host


@pytest.mark.parametrize("bind", ["", "127.0.0.1:9", "[::1]:9", "a b", "tls://a"])
def test_what_is_no_address_to_listen_at_is_refused(bind: str) -> None:
    answer = cli.invoke(app, ["scheduler", "--bind", bind])
    assert isinstance(answer.exception, UsageError)
    assert str(answer.exception).startswith("--bind: expected an address or a name")
