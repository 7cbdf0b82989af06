"""Writing the INI file: whole or not at all, nobody's edit lost, and what it was is kept."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.errors import SettingsChanged, SettingsError
from config.reader import load, read_text
from config.versions import (
    BY_HAND,
    Version,
    changes_between,
    digest,
    folder_of,
    keep_edited,
    restore,
    versions,
    write_settings,
)

AT = datetime(2026, 11, 29, 19, 30, tzinfo=UTC)
FIRST = "# ours\n[node]\nport = 104\n"
SECOND = "# ours\n[node]\nport = 105\n[analysis]\nthreshold = 0.4\n"


class PowerCutError(BaseException):
    """The process is gone; nothing tidies up."""


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "node.ini"
    file.write_bytes(FIRST.encode())
    return file


def write(ini: Path, text: str, *, began_with: str | None = None) -> Version | None:
    began = digest(read_text(ini) if began_with is None else began_with)
    return write_settings(ini, text, expected_digest=began, by="mary", at=AT)


def test_the_text_is_written_and_what_was_before_is_kept(ini: Path) -> None:
    ini.chmod(0o640)
    with ini.open() as reading:
        version = write(ini, SECOND)
        assert reading.read() == FIRST  # whoever reads it sees one or the other, never a part
    assert version is not None
    assert read_text(ini) == SECOND
    assert stat.S_IMODE(ini.stat().st_mode) == 0o640
    assert versions(ini) == (version,)
    assert (version.by, version.at, version.number) == ("mary", AT, 1)
    assert [str(change) for change in version.changes] == [
        "[analysis] threshold: (default) -> 0.4",
        "[node] port: 104 -> 105",
    ]
    assert read_text(version.path) == FIRST
    assert version.path.name == "000001-20261129T193000Z.ini"
    kept = [file for file in folder_of(ini).iterdir() if file.suffix]
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert stat.S_IMODE(folder_of(ini).stat().st_mode) == 0o700


def test_a_link_stays_a_link(ini: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.ini"
    link.symlink_to(ini.name)
    write(link, SECOND)
    assert link.is_symlink()
    assert read_text(ini) == SECOND
    assert versions(link) == versions(ini) != ()


def test_the_same_text_again_keeps_nothing(ini: Path) -> None:
    assert write(ini, FIRST) is None
    assert versions(ini) == ()


def test_a_faulty_text_is_not_written_and_all_its_faults_are_named(ini: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        write(ini, "[node]\nport = many\n[analysis]\nthreshold = 7\n")
    assert {(fault.section, fault.key) for fault in caught.value.faults} == {
        ("node", "port"),
        ("analysis", "threshold"),
    }
    assert read_text(ini) == FIRST
    assert versions(ini) == ()


def test_an_edit_made_meanwhile_is_not_lost(ini: Path) -> None:
    with pytest.raises(SettingsChanged, match=r"somebody has changed node\.ini meanwhile"):
        write(ini, SECOND, began_with="[node]\n")
    assert read_text(ini) == FIRST
    assert versions(ini) == ()


def test_an_edit_made_at_the_last_moment_is_not_lost(ini: Path) -> None:
    def edit(step: str) -> None:
        if step == "kept":
            ini.write_text("[node]\nport = 999\n")

    with pytest.raises(SettingsChanged):
        write_settings(ini, SECOND, expected_digest=digest(FIRST), by="mary", at=AT, step=edit)
    assert read_text(ini) == "[node]\nport = 999\n"
    assert versions(ini) == ()


@pytest.mark.parametrize("at", ["written", "kept", "replaced"])
def test_a_crash_loses_nothing(ini: Path, at: str) -> None:
    def cut(step: str) -> None:
        if step == at:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        write_settings(ini, SECOND, expected_digest=digest(FIRST), by="mary", at=AT, step=cut)
    assert read_text(ini) == (SECOND if at == "replaced" else FIRST)
    load(ini)
    assert write(ini, SECOND + "# more\n") is not None
    assert FIRST in [read_text(version.path) for version in versions(ini)]
    assert not [file.name for file in ini.parent.iterdir() if file.name.endswith(".new")]


def test_an_earlier_version_is_put_back_and_that_is_a_version_too(ini: Path) -> None:
    first = write(ini, SECOND)
    assert first is not None
    restore(ini, first, by="john", at=AT)
    assert read_text(ini) == FIRST
    assert [(one.number, one.by) for one in versions(ini)] == [(1, "mary"), (2, "john")]
    assert read_text(versions(ini)[1].path) == SECOND


def test_what_was_not_seen_is_not_replaced(ini: Path) -> None:
    first = write(ini, SECOND)
    assert first is not None
    with pytest.raises(SettingsChanged):
        restore(ini, first, expected_digest=digest(FIRST), by="john", at=AT)
    assert read_text(ini) == SECOND


def test_records_hold_no_secret(ini: Path) -> None:
    url = "postgresql://node:sesame@db/node"
    version = write(ini, f"[storage]\ndatabase_url = {url}\n")
    assert version is not None
    record = version.path.with_suffix(".json").read_text()
    assert "database_url" in record
    assert "sesame" not in record
    assert "[storage] database_url (not shown)" in map(str, version.changes)


def test_a_value_of_an_unknown_key_may_be_a_secret() -> None:
    (change,) = changes_between("[destination A]\npassword = sesame\n", "[destination A]\n")
    assert "sesame" not in str(change)
    assert change.old is None


def test_what_was_changed_by_hand_is_kept_once(ini: Path) -> None:
    ini.write_text(SECOND)
    version = keep_edited(ini, FIRST, SECOND, at=AT)
    assert version is not None
    assert (version.by, read_text(version.path)) == (BY_HAND, FIRST)
    assert keep_edited(ini, FIRST, SECOND, at=AT) is None


def test_a_copy_without_its_record_can_be_put_back(ini: Path) -> None:
    version = write(ini, SECOND)
    assert version is not None
    version.path.with_suffix(".json").write_text(json.dumps({"by": 1}))
    (bare,) = versions(ini)
    assert (bare.number, bare.by, bare.at) == (1, BY_HAND, AT)
    restore(ini, bare, by="john", at=AT)
    assert read_text(ini) == FIRST


def test_a_full_disk_leaves_no_copy_and_nothing_beside(ini: Path) -> None:
    write(ini, SECOND)
    before = sorted(ini.parent.rglob("*"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = FIRST.encode() + b"# " + b"x" * 10_000
    ini.write_bytes(full)  # the next text fits, the copy of this one does not
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write(ini, FIRST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sorted(ini.parent.rglob("*")) == before
    assert ini.read_bytes() == full


@pytest.mark.parametrize("damage", ["", "# ours\n", "# ours\n[node]\n", "[node]\nport = 999\n"])
def test_a_damaged_copy_is_not_put_back(ini: Path, damage: str) -> None:
    version = write(ini, SECOND)
    assert version is not None
    version.path.write_text(damage)
    with pytest.raises(SettingsError, match="expected the settings that were kept"):
        restore(ini, versions(ini)[0], by="john", at=AT)
    assert read_text(ini) == SECOND


@pytest.mark.parametrize("is_allowed", [True, False])
def test_copies_are_the_owner_s_of_the_file_whoever_changes_it(
    ini: Path, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    node = os.geteuid() + 1  #: user of the node; the command is run by us
    given: dict[str, tuple[int, int]] = {}
    stat_of = Path.stat

    def fchown(descriptor: int, user: int, group: int) -> None:
        if not is_allowed:
            raise PermissionError
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        given[name] = (user, group)

    def owned(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat_of(path, follow_symlinks=follow_symlinks)
        return os.stat_result((*found[:4], node, node, *found[6:])) if path == ini else found

    monkeypatch.setattr(Path, "stat", owned)
    monkeypatch.setattr(os, "fchown", fchown)
    kept = keep_edited(ini, FIRST, SECOND, at=AT)
    assert kept is not None
    assert read_text(kept.path) == FIRST
    of_copies = {folder_of(ini).name, ".lock", ".new", kept.path.with_suffix(".json").name}
    assert given == (dict.fromkeys(of_copies, (node, node)) if is_allowed else {})


def test_a_link_in_place_of_the_lock_is_not_given_away(ini: Path, tmp_path: Path) -> None:
    write(ini, SECOND)
    (folder_of(ini) / ".lock").unlink()
    (folder_of(ini) / ".lock").symlink_to(tmp_path / "another")
    with pytest.raises(OSError, match="symbolic links"):
        write(ini, FIRST)
    assert not (tmp_path / "another").exists()


def test_versions_that_cannot_be_read_are_not_taken_for_none(ini: Path) -> None:
    assert versions(ini) == ()
    folder = folder_of(ini)
    folder.symlink_to(folder)  # which nobody can read, root neither
    with pytest.raises(OSError, match=folder.name):
        versions(ini)


def test_a_record_that_cannot_be_read_names_no_editor(ini: Path) -> None:
    written = write_settings(ini, SECOND, expected_digest=digest(FIRST), by="mary", at=AT)
    assert written is not None
    record = written.path.with_suffix(".json")
    record.unlink()
    assert [version.by for version in versions(ini)] == [BY_HAND]
    record.symlink_to(record)
    with pytest.raises(OSError, match=record.name):
        versions(ini)
