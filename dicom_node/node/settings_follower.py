"""Follow the INI file while the node runs: take up what can be, keep the last good otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from config.errors import SettingsError
from config.hot import hot_changes, needing_restart, with_hot, withdrawn
from config.reader import holds_values, read_text, settings_in
from config.settings import Settings
from config.versions import BY_HAND, Version, changes_between, digest, keep_edited, versions
from dicom_node.audit.decisions import NO_DECISIONS, Decided, DecisionSink
from dicom_node.audit.messages import settings_changed
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.clock_watch import utc_now
from dicom_node.errors import NodeError
from dicom_node.health import Health
from dicom_node.logs import log
from dicom_node.resources import Clock
from storage.errors import StorageError
from storage.files.decision_log import Decision, read_decisions

SETTINGS_SECONDS = 2.0  #: between two looks at the file
PART = "settings"  #: in the condition of the node
CALM_SECONDS = 30.0  #: for which a file stays as it is before it takes something away
NOT_SHOWN = "(not shown)"  #: in place of the value of a secret
EMPTY = "file: expected settings; that there are none counts from the next start only"


class SettingsFollower:
    """Takes up changes of the INI file.

    A text counts once two looks in a row have seen it: an editor may be half-way. One that takes
    something away counts after `CALM_SECONDS` of looks, unless our commands wrote it: a part of a
    file that is being copied is often in order, but lacks destinations, and may let anybody send.

    Attributes
    ----------
    decisions
        Where it is recorded from what to what they were changed.

    Parameters
    ----------
    started_with
        Settings of this process; those that need a restart stay as they are here.
    take_up
        Has all parts follow settings, or none; raises `NodeError` if one cannot.
    """

    def __init__(
        self,
        ini: Path,
        started_with: Settings,
        take_up: Callable[[Settings], None],
        *,
        health: Health,
        audit: AuditSink = NO_AUDIT,
        clock: Clock = utc_now,
    ) -> None:
        self._ini = ini.absolute()
        self._started_with = self._current = started_with
        self._health, self._audit, self._clock = health, audit, clock
        self.decisions: DecisionSink = NO_DECISIONS
        self._take_up = take_up
        self._seen: str | None = None  #: text, or why there is none, at the latest look
        self._looks = 0  #: in a row that have seen it
        self._judged: str | None = None  #: text that need not be looked at again
        self._good = ""  #: the latest text that was taken up
        self._told = ""

    def look(self) -> None:
        """Look at the file once."""
        text, fault = "", ""
        try:
            text = read_text(self._ini)
        except SettingsError as unreadable:
            fault = _without_values(unreadable)
        seen = fault or text
        self._looks = self._looks + 1 if seen == self._seen else 1
        self._seen = seen
        if self._looks < 2 or seen == self._judged:
            return
        if fault:
            self._refuse(fault)
        else:
            self._follow(text)

    def _follow(self, text: str) -> None:
        """Take a text up if it is in order and every part can work with it."""
        try:
            new = settings_in(text, self._ini)
            if doubt := self._doubt(text, new):
                self._refuse(doubt)
                return
            current = with_hot(self._current, new)
            changes = hot_changes(self._current, current)
            if changes:
                self._take_up(current)
        except SettingsError as faulty:
            self._refuse(_without_values(faulty), text)
        except (
            NodeError,
            StorageError,
            OSError,
        ) as fault:  # it may pass: the next look tries again
            self._refuse(str(fault))
        else:
            before = self._good
            self._keep(text)
            if changes or self._told:
                log.info("settings_taken_up", settings=changes)
            self._record(before, text, changes)
            self._current, self._judged, self._told = current, text, ""
            self._tell_restart(needing_restart(self._started_with, new))

    def _record(self, before: str, text: str, changes: Sequence[str]) -> None:
        """Record what counts from now on, with who changed it."""
        if not before:
            self._record_since_last_run(text)
        if changes:
            by = self._writer(text) or BY_HAND
            self._audit.record(settings_changed(changes, by=by))
            if before:  # else it is recorded already, as what was changed before the start
                self.decisions.record(Decided.SETTINGS, _facts(before, text), by=by)

    def _record_since_last_run(self, text: str) -> None:
        """Record what was changed while no node ran, and what counts from this start on only.

        Receivers that share a store have files of their own, and do not.
        """
        if self._started_with.node.receiver:
            return
        with suppress(OSError):  # then the folder is away, which is told elsewhere
            folder = self._started_with.storage.folder
            known, at = _recorded(read_decisions(folder, Decided.SETTINGS))
            since = [one for one in self._versions() if at is None or one.at >= at]
            for by, facts in _by_writer(known, _values(text), since).items():
                self.decisions.record(Decided.SETTINGS, facts, by=by)

    def _doubt(self, text: str, new: Settings) -> str:
        """Say why a text in order may be a part of one; empty if it need not be doubted."""
        if not holds_values(text):
            return EMPTY
        lacking = withdrawn(self._current, new)
        is_part = bool(lacking) or (text != self._good and self._good.startswith(text))
        is_calm = self._looks >= CALM_SECONDS / SETTINGS_SECONDS
        if is_calm or not is_part or self._writer(text) not in {None, BY_HAND}:
            return ""
        what = ", ".join(lacking) or "its end"
        return f"file: expected {what} as before; without, it counts after {CALM_SECONDS:.0f} s"

    def _refuse(self, reason: str, text: str | None = None) -> None:
        """Keep the last good settings, and tell why; without a text, the next look tries again."""
        self._judged = text
        self._health.fault(PART, f"the last good ones are kept: {reason}")
        if reason != self._told:
            self._told = reason
            log.error("settings_refused", reason=reason)

    def _tell_restart(self, settings: tuple[str, ...]) -> None:
        if not settings:
            self._health.well(PART)
            return
        self._health.fault(PART, f"needs a restart: {', '.join(settings)}")
        log.warning("settings_need_restart", settings=settings)

    def _keep(self, text: str) -> None:
        """Keep what the file was before an edit by hand, where the node may write."""
        before, self._good = self._good, text
        if before:
            try:
                keep_edited(self._ini, before, text, at=self._clock())
            except OSError as fault:
                log.info("settings_not_kept", reason=str(fault.strerror))

    def _writer(self, text: str) -> str | None:
        """Name who made the file what it is; None if that is not recorded, or may not be read."""
        latest = self._versions()[-1:]
        return next((one.by for one in latest if one.after == digest(text)), None)

    def _versions(self) -> tuple[Version, ...]:
        """List what is known of changes; nothing where the user of the node may not read it."""
        try:
            return versions(self._ini)
        except OSError:
            return ()


def _facts(before: str, text: str) -> dict[str, object]:
    """Say from what to what each key was changed; a secret is none's to read."""
    return {
        f"[{one.section}] {one.key}": NOT_SHOWN if one.secret else [one.old, one.new]
        for one in changes_between(before, text)
    }


def _values(text: str) -> dict[str, str | None]:
    """Give the value of each key that a text has, by its name."""
    return {
        f"[{one.section}] {one.key}": NOT_SHOWN if one.secret else one.new
        for one in changes_between("", text)
    }


def _recorded(decisions: Iterable[Decision]) -> tuple[dict[str, str | None], datetime | None]:
    """Give the value that each key had last, by what was recorded, and when the last was."""
    known: dict[str, str | None] = {}
    at: datetime | None = None
    for decision in decisions:
        at = decision.at
        for name, changed in decision.facts.items():
            known[name] = changed[1] if isinstance(changed, list) else NOT_SHOWN
    return {name: value for name, value in known.items() if value is not None}, at


def _by_writer(
    known: Mapping[str, str | None], now: Mapping[str, str | None], since: Sequence[Version]
) -> dict[str, dict[str, object]]:
    """Say from what to what each key has changed, by who made it what it is.

    Whoever changed it last, if it still is what they made of it; else it was changed by hand.
    """
    last: dict[str, tuple[str, str | None]] = {}
    for version in since:
        for one in version.changes:
            name = f"[{one.section}] {one.key}"
            last[name] = (version.by, now.get(name) if one.secret else one.new)
    found: dict[str, dict[str, object]] = {}
    for name, changed in _differences(known, now).items():
        by, made = last.get(name, (BY_HAND, None))
        found.setdefault(by if made == now.get(name) else BY_HAND, {})[name] = changed
    return found


def _differences(
    known: Mapping[str, str | None], now: Mapping[str, str | None]
) -> dict[str, object]:
    """Say from what to what each key has changed; of a secret only that it came or went."""
    changed = [name for name in sorted({*known, *now}) if known.get(name) != now.get(name)]
    return {
        name: NOT_SHOWN
        if NOT_SHOWN in {known.get(name), now.get(name)}
        else [known.get(name), now.get(name)]
        for name in changed
    }


def _without_values(fault: SettingsError) -> str:
    """Say section, key and what was expected; a value may be a secret."""
    return "; ".join(one.without_value for one in fault.faults)
