"""Programs that call the command line: JSON of every view, exit statuses, completion in shells."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import app, main
from dicom_node.cli.exit_codes import MEANINGS, ExitStatus, exit_table
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.identity_key import keyed
from dicom_node.maintenance.backup import make_backup
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.node_process import INI, free_port
from tests.support.paths import ROOT
from tests.unit.dicom_node.cli.test_operator import NOW, enter, result_of

#: Commands that show something, with what they need besides; all others act, or serve.
VIEWS = {
    "agreement": (),
    "check": (),
    "decisions list": (),
    "decisions verify": (),
    "destinations list": (),
    "doctor": (),
    "downgrade": ("0001", "--dry-run"),
    "drift": (),
    "feedback": (),
    "governance models": (),
    "model list": (),
    "model show": (),
    "model verify": ("bundled",),
    "notify": (),
    "probe": ("PACS",),
    "queue": (),
    "ready": (),
    "series list": (),
    "selftest": ("--latest",),
    "shadow": (),
    "settings history": (),
    "status": (),
    "token list": (),
    "upgrade": (),
    "user list": (),
    "workitems": (),
    "backup verify": ("BACKUP",),
}
RERUN = {"text": ANY, "accepted": ANY, "refused": ANY}
#: Command lines that act, in an order in which they can be done, with what they tell programs;
#: the exit status is 0 unless something was not done
ACTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("echo PACS", {"destination": "PACS", "answers": True}),
    ("destinations pause PACS", {"destination": "PACS", "paused": True}),
    ("destinations resume PACS", {"destination": "PACS", "paused": False}),
    (
        "settings set analysis.threshold 0.3",
        {"changes": ["[analysis] threshold: (default) -> 0.3"], "needs_restart": []},
    ),
    (
        "settings restore 1",
        {"changes": ["[analysis] threshold: 0.3 -> (default)"], "needs_restart": []},
    ),
    ("user add ada --role admin --password-stdin", {"name": "ada", "role": "admin"}),
    ("user add bob --password-stdin", {"name": "bob", "role": "viewer"}),
    ("user password bob --password-stdin", {"name": "bob", "sessions_ended": True}),
    ("user disable bob", {"name": "bob", "disabled": True}),
    (
        "token add watch",
        {"name": "watch", "role": "viewer", "expires_at": ANY, "token": ANY},
    ),
    ("token revoke watch", {"name": "watch", "revoked": True}),
    ("erase --series 2.25.2 --yes", {"series": ["2.25.2"]}),
    ("redeliver 2.25.1", {"due": [], "missing": []}),
    (
        "redeliver --to PACS --since today",
        {"destination": "PACS", "results": 1, "objects": 2, "missing": [], "left": []},
    ),
    (
        "redeliver 2.25.1",
        {
            "due": [{"series_instance_uid": "2.25.1", "destination": "PACS", "objects": 2}],
            "missing": [],
        },
    ),
    ("reissue --all", {"series": [{**RERUN, "series_instance_uid": "2.25.1"}]}),
    (
        "reprocess 2.25.9",
        {"series": [{**RERUN, "series_instance_uid": "2.25.9", "refused": True}]},
    ),
    ("export out --series 2.25.1", {"folder": "out", "files": 2, "series": ["2.25.1"]}),
    ("reinject --all", {"files": 0}),
    ("feedback import diagnoses.csv --skip-unknown", {"series": 0, "skipped": 1}),
    ("feedback --csv cases.csv", {"file": "cases.csv", "rows": 0}),
    ("drift accept --all", {"accepted": {}}),
    (
        "certificates tls",
        {
            "certificates": [
                {"name": "authority", "file": "tls/authority.pem", "until": ANY, "is_new": True}
            ]
        },
    ),
    ("governance sbom bill.json", {"file": "bill.json", "bytes": ANY}),
    ("governance licences licences.txt", {"file": "licences.txt", "bytes": ANY}),
    ("governance registry results.csv", {"file": "results.csv", "bytes": ANY}),
    ("support support.zip", {"file": "support.zip", "parts": ANY}),
    ("drain --end", {"draining": False, "changed": False}),
    ("backup create backups", {"backup": ANY}),
    (
        "send ct --to PACS --port {port}",
        {
            "folder": "ct",
            "to": "PACS",
            "files": 1,
            "accepted": 0,
            "not_accepted": [{"detail": ANY, "files": 1, "example": "ct/IM0001.dcm"}],
            "left_out": ["ct/notes"],
        },
    ),
    ("restore {backup} --config other.ini", {"backup": ANY, "made_at": ANY}),
)
NOT_DONE = {
    "commission signed.pdf",
    "reprocess 2.25.9",
    "send ct --to PACS --port {port}",
}  #: with exit status 1
#: Act as well, and are tried with `--json` by the tests of what they need
ELSEWHERE = {"governance pack", "model import"}
#: Take no `--json`, each for its reason
WITHOUT_JSON = {
    "runs until it is stopped": {"run", "worker", "scheduler", "console", "demo"},
    "prints or changes a document, which is its answer": {
        "conformance",
        "constraints",
        "example",
    },
    "writes its answer into a file or a folder": {
        "calibrate",
        "commission",
        "compare",
        "evaluate",
        "localise",
        "phantom",
        "process",
        "stability",
        "synthesise",
        "train classifier",
        "train lungs",
        "train paper",
    },
}
WITHOUT_INI = {
    *("backup verify", "certificates", "governance licences"),
    *("model list", "model show", "model verify", "send"),
}


def commands(group: TyperGroup, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        path = f"{above} {name}".strip()
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield path, command
            yield from commands(command, path)
        else:
            yield path, command


ALL = dict(commands(typer.main.get_group(app)))


@pytest.fixture
def ini(tmp_path: Path, pacs: StandInPacs) -> Path:
    path, recipients = tmp_path / "node.ini", tmp_path / "recipients"
    recipients.write_text(f"faults json://127.0.0.1:{free_port()}/\n")
    recipients.chmod(0o600)
    more = f"\n[notify]\nrecipients_file = {recipients}\n"
    path.write_text(INI.format(port=free_port(), pacs_port=pacs.port, quiet=1, more=more))
    keyed(open_resources(load(path))).close()
    return path


def path_of(line: str) -> str:
    """Name the command of a command line."""
    return max((path for path in ALL if f"{line} ".startswith(f"{path} ")), key=len)


def test_every_command_takes_json_or_there_is_a_reason_why_not() -> None:
    takes = {
        path
        for path, command in ALL.items()
        if any("--json" in option.opts for option in command.params)
    }

    acts = {path_of(line) for line, _ in ACTS}
    assert takes == set(VIEWS) | acts | ELSEWHERE
    assert set(ALL) - takes == set().union(*WITHOUT_JSON.values())


@pytest.mark.parametrize("path", sorted(VIEWS))
def test_json_of_a_view_can_be_read(path: str, ini: Path) -> None:
    words = [*path.split(), *VIEWS[path], "--json"]
    if path == "backup verify":
        words[2] = str(make_backup(load(ini), ini, ini.parent / "backups", NOW))
    if path not in WITHOUT_INI:
        words += ["--config", str(ini)]
    if path in {"feedback", "drift"}:  # a group: its options come first
        words = [path, "--config", str(ini), "--json"]

    ended = CliRunner().invoke(app, words)

    assert not isinstance(ended.exception, Exception), ended.exception
    assert ended.exit_code == (1 if path in {"ready", "selftest", "shadow"} else 0), ended.output
    assert isinstance(json.loads(ended.stdout), dict | list)


def run_code(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize("words", ["probe PACS --json", "doctor --mend --json"])
def test_what_is_logged_is_not_on_standard_output(words: str, ini: Path) -> None:
    command = [sys.executable, "-P", "-m", "dicom_node", *words.split(), "--config", str(ini)]

    ended = subprocess.run(command, capture_output=True, text=True, check=True)

    json.loads(ended.stdout)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command line; give its exit status."""

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["dicom-node", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_what_acts_tells_programs_what_it_has_done_and_nothing_else(
    ini: Path,
    tmp_path: Path,
    pacs: StandInPacs,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    enter(ini, {"series_instance_uid": "2.25.1"}, {"series_instance_uid": "2.25.2"})
    result_of(ini, "2.25.1")
    result_of(ini, "2.25.2")
    (tmp_path / "other.ini").write_text(ini.read_text().replace("= data", "= other"))
    (tmp_path / "diagnoses.csv").write_text("accession,diagnosis,date\n1,positive,2026-01-01\n")
    write_series(
        [phantom_datasets(make_phantom(PhantomSpec(slices=1, lesions=0)), seed=1)[0]],
        tmp_path / "ct",
    )
    (tmp_path / "ct" / "notes").touch()
    backup = ""

    for line, facts in ACTS:
        words = [*line.format(port=pacs.port, backup=backup).split(), "--json"]
        if path_of(line) not in WITHOUT_INI and "--config" not in words:
            words += ["--config", ini.name]
        monkeypatch.setattr(sys, "stdin", io.StringIO("a password of some length\n"))

        status = call(*words)

        said = capsys.readouterr()
        assert status == (line in NOT_DONE), said
        told = json.loads(said.out)
        assert told == facts
        backup = told.get("backup", backup)


def test_each_exit_status_occurs(ini: Path, tmp_path: Path, call: Callable[..., int]) -> None:
    faulty, away = tmp_path / "faulty.ini", tmp_path / "away.ini"
    faulty.write_text("[analysis]\nthreshold = 7\n")
    away.write_text(f"[storage]\ndatabase_url = postgresql://x@127.0.0.1:{free_port()}/x\n")
    named = ["--config", str(ini)]

    assert call("queue", *named) == ExitStatus.DONE
    assert call("echo", "NOWHERE", *named) == ExitStatus.FAULT
    assert call("queue", "--no-such-option", *named) == ExitStatus.USAGE
    assert call("check", "--config", str(faulty)) == ExitStatus.SETTINGS
    assert call("queue", "--config", str(tmp_path / "none.ini")) == ExitStatus.SETTINGS
    assert call("queue", "--config", str(away)) == ExitStatus.LATER
    pressed = run_code(
        "import signal, sys, time; from dicom_node.cli import app;"
        f" sys.argv = ['dicom-node', 'check', '--config', {str(ini)!r}];"
        " signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's & ignores it
        " app.load = lambda _: [signal.raise_signal(signal.SIGINT)]"
        " + [time.sleep(0.01) for _ in range(1000)]; app.main()"  # it is heard a little later
    )
    assert pressed.returncode == ExitStatus.INTERRUPTED


#: Command lines whose words alone show that they cannot be meant so
CONTRADICTIONS = """
    redeliver
    redeliver --to PACS
    redeliver --since today --all
    redeliver --to PACS --since 2026-13-45
    reissue
    reissue --all 1.2
    reissue --all --study 1.2
    reprocess
    reinject
    reinject --all 1.dcm
    export folder
    export folder --series 1.2 --study 1.3
    erase --yes
    erase --yes --series 1.2 --study 1.3
    series list --day 2026-13-45
    series list --received soon
    series list --since 2026-02-30
    series list --day today --since today
    status --stages --waiting
    status --console https://node.example.org
    status --console node.example.org --token-file token
    status --console http://node.example.org --token-file token
    status --limit -1
    feedback --images folder
    feedback --labelled
    drain --wait --end
    drift accept
    drift accept --all CT1
    decisions list --since never
    decisions verify --head 7
    governance registry results.txt
    governance registry results.csv --since never
    certificates folder --host -x
    settings set analysis.threshold
    settings set threshold 0.5
    user add ?
    token add ?
    send . --to TITLE-OF-MORE-THAN-SIXTEEN
    phantom folder --slices 1
    model import --out folder
    model import --out folder --unet a
    model import --out folder --unet a --decovnet b --base bundled
    evaluate --out folder
    evaluate --out folder --scores a --cases b
    evaluate --out folder --scores a --prevalence 1
    calibrate folder
    localise --out folder
"""


def test_words_that_cannot_be_meant_so_are_refused_before_anything_is_done(
    tmp_path: Path, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no INI file: nothing looks for it
    (tmp_path / "cases.csv").touch()
    lines = CONTRADICTIONS.strip().splitlines()

    ended = {line.strip(): call(*line.split()) for line in lines}

    assert {line: end for line, end in ended.items() if end != ExitStatus.USAGE} == {}
    assert [path.name for path in tmp_path.iterdir()] == ["cases.csv"]


def test_every_exit_status_is_explained_where_the_commands_are() -> None:
    text = (ROOT / "docs" / "administrator" / "commands.md").read_text()
    made = re.search(r"<!-- made: exit-statuses -->\n\n(.*?)\n<!-- end -->", text, re.S)

    assert set(MEANINGS) == set(ExitStatus)
    assert made is not None
    assert made[1] == exit_table()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    ended = run_code(
        "import sys; sys.argv = ['dicom-node']; from dicom_node.cli.app import main; main()",
        _DICOM_NODE_COMPLETE=f"complete_{shell}",
        COMP_WORDS="dicom-node series li",
        COMP_CWORD="2",
        _TYPER_COMPLETE_ARGS="dicom-node series li",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )

    assert "list" in ended.stdout, ended.stderr


def completed(words: str, config: Path) -> list[str]:
    """Complete the last word as bash does, in this process."""
    shown = CliRunner().invoke(
        app,
        [],
        prog_name="dicom-node",
        env={
            "_DICOM_NODE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "DICOM_NODE_CONFIG": str(config),
        },
    )
    return sorted(shown.output.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dicom-node echo P", ["PACS"]),
        ("dicom-node destinations pause ", ["PACS"]),
        ("dicom-node redeliver --to P", ["PACS"]),
        ("dicom-node echo Q", []),
        ("dicom-node settings set analysis.thr", ["analysis.threads", "analysis.threshold"]),
        ("dicom-node settings set analysis.threshold analysis.thr", []),
    ],
)
def test_a_shell_completes_destinations_and_settings(
    ini: Path, words: str, expected: list[str]
) -> None:
    assert completed(words, ini) == expected


def test_a_shell_completes_nothing_of_an_ini_file_that_is_faulty(tmp_path: Path) -> None:
    (tmp_path / "node.ini").write_text("[nonsense]\n")

    assert completed("dicom-node echo P", tmp_path / "node.ini") == []


IN_BRACKETS = re.compile(r"\[[a-z][a-z, ]*\]")  #: sections of the INI file, what may be left out


def test_help_loses_nothing_in_brackets() -> None:
    lost = []
    for path, command in ALL.items():
        texts = [command.help, *(getattr(option, "help", "") for option in command.params)]
        wanted = {word for text in texts for word in IN_BRACKETS.findall(text or "")}
        if wanted:
            help_ = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "500"})
            lost += [word for word in wanted if word not in " ".join(help_.output.split())]

    assert lost == []
