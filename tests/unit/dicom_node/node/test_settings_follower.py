"""The file of the settings is followed; what is faulty, or half written, changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.reader import load, read_text
from config.settings import Settings
from config.versions import BY_HAND, digest, folder_of, versions, write_settings
from dicom_node.audit.decisions import DecisionLog
from dicom_node.audit.messages import AuditEvent
from dicom_node.audit.syslog import NullAudit
from dicom_node.clock_watch import utc_now
from dicom_node.errors import NodeError
from dicom_node.health import Health
from dicom_node.node.settings_follower import (
    CALM_SECONDS,
    SETTINGS_SECONDS,
    SettingsFollower,
)
from storage.files.decision_log import read_decisions

FIRST = "[node]\nport = 104\n[analysis]\nthreshold = 0.5\n"


class Recorder(NullAudit):
    """Remembers audit events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


class Followed:
    """A file, who follows it, and what was taken up."""

    def __init__(self, ini: Path) -> None:
        self.ini, self.health = ini, Health()
        self.taken: list[Settings] = []
        self.fault: Callable[[], None] = bool
        self.audit = Recorder()
        ini.write_text(FIRST)
        self.follower = SettingsFollower(
            ini, load(ini), self._take_up, health=self.health, audit=self.audit
        )
        self.look()

    def _take_up(self, settings: Settings) -> None:
        self.fault()
        self.taken.append(settings)

    def look(self, text: str | None = None) -> None:
        """Write a text, and look until it counts."""
        if text is not None:
            self.ini.write_text(text)
        self.follower.look()
        self.follower.look()

    def ailing(self) -> list[str]:
        return [fault.reason for fault in self.health.snapshot()]


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "node.ini")


def test_nothing_is_taken_up_of_what_is_known(followed: Followed) -> None:
    followed.look()
    followed.look("# a comment\n" + FIRST)
    assert followed.taken == []
    assert followed.ailing() == []


def test_a_text_counts_when_two_looks_have_seen_it(followed: Followed) -> None:
    followed.ini.write_text("[node]\nport = 104\n")
    followed.follower.look()
    followed.ini.write_text(FIRST.replace("0.5", "0.4"))
    followed.follower.look()
    assert followed.taken == []
    followed.follower.look()
    assert [settings.analysis.threshold for settings in followed.taken] == [0.4]


def test_what_needs_a_restart_stays_and_is_named(followed: Followed) -> None:
    followed.look("[node]\nport = 105\n[analysis]\nthreshold = 0.4\n[log]\nlevel = DEBUG\n")
    (settings,) = followed.taken
    assert (settings.node.port, settings.analysis.threshold, settings.log.level) == (
        104,
        0.4,
        "INFO",
    )
    assert followed.ailing() == ["needs a restart: [node] port, [log] level"]
    followed.look(FIRST)
    assert followed.ailing() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[node]\nport = many\n", "[node] port: expected a valid integer"),
        ("[storage]\ndatabase_url = x://node:sesame@db\n", "[storage] database_url: expected"),
        ("password = sesame\n", "file: expected an INI file"),
        ("  \n", "file: expected settings"),
        ("# [node]\n# port = 104\n", "file: expected settings"),
        ("[node]\n[analysis]\n", "file: expected settings"),
    ],
)
def test_a_faulty_text_keeps_the_last_good_and_shows_no_value(
    followed: Followed, text: str, told: str
) -> None:
    followed.look(text)
    (reason,) = followed.ailing()
    assert reason.startswith(f"the last good ones are kept: {told}")
    assert "sesame" not in reason
    assert followed.taken == []
    followed.look(FIRST)
    assert followed.ailing() == []


def test_a_file_that_is_gone_for_a_while_changes_nothing(followed: Followed) -> None:
    followed.ini.unlink()
    followed.look()
    assert "a readable file" in followed.ailing()[0]
    followed.look(FIRST)
    assert followed.ailing() == []
    assert followed.taken == []


def test_what_a_part_cannot_work_with_is_tried_again(followed: Followed) -> None:
    def away() -> None:
        raise NodeError("the files of TLS are missing")

    followed.fault = away
    followed.look(FIRST.replace("0.5", "0.4"))
    assert "the files of TLS are missing" in followed.ailing()[0]
    followed.fault = bool
    followed.follower.look()
    assert [settings.analysis.threshold for settings in followed.taken] == [0.4]
    assert followed.ailing() == []


def test_an_edit_by_hand_is_kept_and_one_by_the_command_not_twice(followed: Followed) -> None:
    second, third = FIRST.replace("0.5", "0.4"), FIRST.replace("0.5", "0.3")
    followed.look(second)
    assert [(one.by, read_text(one.path)) for one in versions(followed.ini)] == [(BY_HAND, FIRST)]
    write_settings(followed.ini, third, expected_digest=digest(second), by="mary", at=utc_now())
    followed.look()
    assert [one.by for one in versions(followed.ini)] == [BY_HAND, "mary"]
    assert [settings.analysis.threshold for settings in followed.taken] == [0.4, 0.3]
    told = [
        (event.alert.description, event.participants[1].user)
        for event in followed.audit.events
        if event.alert
    ]
    assert told == [("[analysis] threshold", BY_HAND), ("[analysis] threshold", "mary")]


def test_where_the_node_may_not_write_settings_are_taken_up_all_the_same(
    followed: Followed,
) -> None:
    folder_of(followed.ini).write_text("in the way")
    followed.look(FIRST.replace("0.5", "0.4"))
    assert len(followed.taken) == 1
    assert followed.ailing() == []


WHOLE = (
    FIRST
    + """\
[destination PACS]
ae_title = PACS
host = pacs
port = 104
tls = no
timeout_seconds = 45
[retention]
keep_days = 3650
"""
).replace("[node]\n", "[node]\ncalling_aes = CT1\n")
CALM_LOOKS = int(CALM_SECONDS / SETTINGS_SECONDS)


def test_a_part_of_the_file_is_not_taken_up_at_once(followed: Followed) -> None:
    followed.look(WHOLE)
    (whole,) = followed.taken
    for length in range(len(WHOLE)):
        followed.look(WHOLE[:length])
    assert followed.taken == [whole]
    assert "the last good ones are kept" in followed.ailing()[0]
    followed.look(WHOLE)
    assert followed.ailing() == []


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (WHOLE.replace("calling_aes = CT1", "calling_aes ="), "[node] calling_aes"),
        (WHOLE.replace("timeout_seconds = 45\n", ""), "[destination PACS]"),
        ("# new\n" + WHOLE[: WHOLE.index("[dest")], "[retention] keep_days, [destination PACS]"),
    ],
)
def test_what_takes_something_away_counts_after_a_calm(
    followed: Followed, lacking: str, told: str
) -> None:
    followed.look(WHOLE)
    followed.look(lacking)
    for _ in range(CALM_LOOKS - 3):
        followed.follower.look()
    assert len(followed.taken) == 1
    assert f"expected {told} as before" in followed.ailing()[0]
    followed.follower.look()
    assert len(followed.taken) == 2
    assert followed.ailing() == []


def test_what_a_command_takes_away_counts_at_once(followed: Followed) -> None:
    followed.look(WHOLE)
    write_settings(followed.ini, FIRST, expected_digest=digest(WHOLE), by="mary", at=utc_now())
    followed.look()
    assert len(followed.taken) == 2


def test_it_is_recorded_who_changed_which_threshold_from_what_to_what_and_no_secret(
    followed: Followed, tmp_path: Path
) -> None:
    followed.follower.decisions = DecisionLog(tmp_path, utc_now)
    write_settings(
        followed.ini,
        FIRST.replace("0.5", "0.4"),
        expected_digest=digest(FIRST),
        by="anna (console)",
        at=utc_now(),
    )
    followed.look()
    followed.look(FIRST.replace("0.5", "0.3") + "[storage]\ndatabase_url = sqlite:////secret\n")

    assert [(one.what, one.by, dict(one.facts)) for one in read_decisions(tmp_path)] == [
        ("settings", "anna (console)", {"[analysis] threshold": ["0.5", "0.4"]}),
        (
            "settings",
            BY_HAND,
            {"[analysis] threshold": ["0.4", "0.3"], "[storage] database_url": "(not shown)"},
        ),
    ]


def began_with(tmp_path: Path, text: str) -> list[tuple[str, dict[str, object]]]:
    """A node starts with a text; who changed what is recorded then."""
    ini, data = tmp_path / "node.ini", tmp_path / "data"
    data.mkdir(exist_ok=True)
    ini.write_text(f"{text}[storage]\nfolder = data\n")
    before = len(list(read_decisions(data)))
    follower = SettingsFollower(ini, load(ini), lambda _: None, health=Health())
    follower.decisions = DecisionLog(data, utc_now)
    for _ in range(3):
        follower.look()
    return [(one.by, dict(one.facts)) for one in read_decisions(data)][before:]


def test_what_was_changed_while_no_node_ran_is_recorded_at_the_start(tmp_path: Path) -> None:
    told = began_with(tmp_path, FIRST)
    assert told == [
        (
            BY_HAND,
            {
                "[analysis] threshold": [None, "0.5"],
                "[node] port": [None, "104"],
                "[storage] folder": [None, "data"],
            },
        )
    ]
    assert began_with(tmp_path, FIRST) == []
    ini = tmp_path / "node.ini"
    text = ini.read_text()
    changed = text.replace("0.5", "0.4").replace("port = 104\n", "")
    write_settings(ini, changed, expected_digest=digest(text), by="mary", at=utc_now())
    told = began_with(tmp_path, FIRST.replace("0.5", "0.4").replace("port = 104\n", ""))
    assert told == [
        ("mary", {"[analysis] threshold": ["0.5", "0.4"], "[node] port": ["104", None]})
    ]
    assert began_with(tmp_path, FIRST)[0][0] == BY_HAND
    ini.write_text(f"{ini.read_text()}database_url = sqlite:////a\n")
    follower = SettingsFollower(ini, load(ini), lambda _: None, health=Health())
    follower.decisions = DecisionLog(tmp_path / "data", utc_now)
    follower.look()
    follower.look()
    latest = list(read_decisions(tmp_path / "data"))[-1]
    assert dict(latest.facts) == {"[storage] database_url": "(not shown)"}


def test_what_counts_is_recorded_where_nobody_may_read_who_changed_it(tmp_path: Path) -> None:
    began_with(tmp_path, FIRST)
    folder = folder_of(tmp_path / "node.ini")
    folder.symlink_to(folder)

    told = began_with(tmp_path, FIRST.replace("0.5", "0.4"))
    assert told == [(BY_HAND, {"[analysis] threshold": ["0.5", "0.4"]})]


def test_each_change_while_no_node_ran_is_ascribed_to_who_made_it(tmp_path: Path) -> None:
    began_with(tmp_path, FIRST)
    ini = tmp_path / "node.ini"
    for by, old, new in (("anna", "0.5", "0.4"), ("berta", "104", "105"), ("clara", "105", "106")):
        text = ini.read_text()
        changed = text.replace(old, new)
        write_settings(ini, changed, expected_digest=digest(text), by=by, at=utc_now())

    told = began_with(tmp_path, FIRST.replace("0.5", "0.4").replace("104", "107"))

    assert told == [
        ("anna", {"[analysis] threshold": ["0.5", "0.4"]}),
        (BY_HAND, {"[node] port": ["104", "107"]}),
    ]


def test_what_is_changed_before_the_first_look_is_recorded_once(tmp_path: Path) -> None:
    began_with(tmp_path, FIRST)
    ini = tmp_path / "node.ini"
    follower = SettingsFollower(ini, load(ini), lambda _: None, health=Health())
    follower.decisions = DecisionLog(tmp_path / "data", utc_now)
    ini.write_text(ini.read_text().replace("0.5", "0.4"))
    for _ in range(3):
        follower.look()

    _, *told = [dict(one.facts) for one in read_decisions(tmp_path / "data")]
    assert told == [{"[analysis] threshold": ["0.5", "0.4"]}]


def test_receivers_that_share_a_log_do_not_record_files_of_their_own(tmp_path: Path) -> None:
    assert (
        began_with(tmp_path, f"{FIRST}[node]\nreceiver = a\n".replace("[node]\nport = 104\n", ""))
        == []
    )
